"""What `idp doctor` looks at, each check a judgement over facts that were read before."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import asyncpg

from idp.store import schema
from keys.keyring import StoredKey
from keys.schedule import Phase, line
from keys.sealing import Sealer, UnknownSealingKeyError, UnsealError

_OLDEST_POSTGRES = 13
"""The first major version with `gen_random_uuid()` built in."""
_SLOW = 0.02
"""Seconds of a round trip beyond which each login feels it."""
_CONNECT = 5.0


class Status(StrEnum):
    """`warn`: it works, and may still surprise."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do about it."""

    name: str
    status: Status
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a server says of itself. `ahead` is how far its clock is before this machine's; both in seconds."""

    version: str
    major: int
    latency: float
    ahead: float
    read_only: bool
    durable: bool


async def read_database(dsn: str) -> DatabaseFacts:
    """Asks the server. Raises what asyncpg raises."""
    connection = await asyncpg.connect(dsn, timeout=_CONNECT, command_timeout=_CONNECT)
    try:
        rounds, leads = zip(*[await _clock_round(connection) for _ in range(5)], strict=True)
        row = await connection.fetchrow(
            """select current_setting('server_version') as version,
                   current_setting('server_version_num')::int / 10000 as major,
                   current_setting('transaction_read_only')::bool as read_only,
                   current_setting('fsync')::bool and current_setting('synchronous_commit') <> 'off' as durable"""
        )
        assert row is not None
        return DatabaseFacts(**row, latency=statistics.median(rounds), ahead=statistics.median(leads))
    finally:
        await connection.close()


async def _clock_round(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[float, float]:
    """The seconds of one round trip, and how far the server's clock was ahead of ours in the middle of it."""
    began, wall = time.perf_counter(), time.time()
    server: float = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
    took = time.perf_counter() - began
    return took, server - (wall + took / 2)


def judge_database(facts: DatabaseFacts) -> Check:
    message = f"PostgreSQL {facts.version}, {facts.latency * 1000:.1f} ms a round trip"
    if facts.major < _OLDEST_POSTGRES:
        return Check("database", Status.FAIL, message, f"Use PostgreSQL {_OLDEST_POSTGRES} or later.")
    if facts.read_only:
        advice = "It takes no changes: let IDP_DATABASE_URL name the primary, with target_session_attrs=read-write."
        return Check("database", Status.FAIL, message, advice)
    if not facts.durable:
        advice = "It may forget what it has acknowledged: turn fsync and synchronous_commit on."
        return Check("database", Status.WARN, message, advice)
    if facts.latency > _SLOW:
        return Check("database", Status.WARN, message, "Put the service nearer to its database: each login asks twice.")
    return Check("database", Status.OK, message)


def judge_clock(ahead: float, skew: int) -> Check:
    """Times in tokens are the database's, and verifiers forgive `skew` seconds: beyond, one of the clocks is wrong."""
    message = f"the database's clock is {abs(ahead):.2f} s {'ahead of' if ahead >= 0 else 'behind'} this machine's"
    if abs(ahead) > skew:
        advice = (
            f"Verifiers forgive {skew} s and may reject every token: set the clocks of both machines by NTP, the "
            "database's above all."
        )
        return Check("clock", Status.FAIL, message, advice)
    if abs(ahead) > 1:
        return Check("clock", Status.WARN, message, "Set the clocks of both machines by NTP.")
    return Check("clock", Status.OK, message)


def judge_schema(version: schema.SchemaVersion, code: str) -> Check:
    try:
        schema.check(version, code)
    except schema.SchemaMismatch as error:
        found, _, advice = str(error).partition(". ")
        return Check("schema", Status.FAIL, found, advice)
    return Check("schema", Status.OK, f"revision {version.revision}")


def judge_keys(keys: Sequence[StoredKey], now: float, sealer: Sealer) -> list[Check]:
    """Whether a key signs, the next one is published, and both open with the key-encryption keys that we have."""
    if not keys:
        return [Check("keys", Status.WARN, "there are no keys yet", "The first start of the service makes them.")]
    needed = line(keys, now)
    return [_judge_phases(needed, now), *_judge_sealing(needed, sealer)]


def _judge_phases(needed: Sequence[StoredKey], now: float) -> Check:
    start = "Start the service: it makes what is missing."
    if not needed or needed[0].lifetime.phase(now) is not Phase.SIGNING:
        return Check("keys", Status.FAIL, "no key signs now", start)
    signing, *following = needed
    if not following:
        return Check("keys", Status.WARN, f"{signing.kid} signs, the next key is not published", start)
    days = (following[0].lifetime.sign_from - now) / 86400
    message = f"{signing.kid} signs, {following[0].kid} is published and follows in {days:.1f} days"
    return Check("keys", Status.OK, message)


def _judge_sealing(needed: Sequence[StoredKey], sealer: Sealer) -> list[Check]:
    failures = [failure for key in needed if (failure := _sealing_failure(key, sealer))]
    if failures or not needed:
        return failures
    first = sealer.keys[0].fingerprint
    older = {key.sealed.sealed_by for key in needed if key.sealed} - {first}
    if older:
        message = f"some keys are sealed under older key-encryption keys: {', '.join(sorted(older))}"
        advice = "Run `idp keys reseal`; then they can be taken out of IDP_KEY_ENCRYPTION_KEY."
        return [Check("sealing", Status.WARN, message, advice)]
    return [Check("sealing", Status.OK, f"all keys open with the key-encryption key {first}")]


def _sealing_failure(key: StoredKey, sealer: Sealer) -> Check | None:
    restore = "Bring its row back from a backup, or revoke the key; it cannot sign."
    if key.sealed is None:
        return Check("sealing", Status.FAIL, f"the key {key.kid} has lost its private half", restore)
    try:
        sealer.open(key.kid, key.sealed)
    except UnknownSealingKeyError as error:
        advice = "Set IDP_KEY_ENCRYPTION_KEY to the keys that were used before; a lost one cannot be replaced."
        return Check("sealing", Status.FAIL, _clause(error), advice)
    except UnsealError as error:
        return Check("sealing", Status.FAIL, _clause(error), restore)
    return None


def _clause(error: Exception) -> str:
    """The sentence as part of a line."""
    return str(error).rstrip(".")
