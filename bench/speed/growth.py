"""B10: nothing becomes dearer when there are many of everything.

Each round asks others, drawn from all: of few everything is soon in memory, of many hardly anything is, neither in the
service's cache of clients nor in PostgreSQL's buffers.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from bench.benchmark import Benchmark, Figures, Measure, Promise, Round, at_most
from bench.contestants import AUDIENCE, CLIENT, SCOPE
from bench.contestants.idp import PASSWORD, Installation, answered, prepared, serving_on
from bench.filling import Contents, Sizes, client_of, email_of, fill, id_of, space
from bench.ground import Ground
from bench.load import Request, form
from bench.servers import Server
from bench.speed.figures import CPU, DATABASE_CPU, measured
from idp.cli.directories import directories
from idp.passwords.hashing import PasswordHasher, Peppers
from idp.protocol.client import secret_digest
from idp.signing.server_secrets import RefreshTokenSecret
from keys.opaque import OpaqueTokens, digest
from keys.sealing import Sealer

SMALL = Sizes(users=1_000, clients=1_000, families=1_000)
LARGE = Sizes(users=10_000_000, clients=100_000, families=10_000_000)
FEW, MANY = "few", "many"
OPERATIONS = ("token", "login", "refresh", "introspection")
TOTAL = "service + PostgreSQL us"

_Tables = Mapping[str, Figures]

_ASKED = 8_192
"""How many different ones a measurement asks for, if there are: more than it gets through in six seconds."""
_KNOWN = 65_536
"""Families whose refresh tokens are known, in no order: enough that seven rounds ask others each."""
_INTROSPECTED = 512
"""Tokens that are introspected, all of which are got just before: so young are they in life."""
_FIRST_LOGINS = 64
"""One by one, so that each worker learns how quick a hash is here. Until then it refuses all but a few at once."""
_BCRYPT_COST = "4"  # at cost 12 a login is nothing but bcrypt


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    with ExitStack() as stack:
        sizes = {FEW: SMALL, MANY: _scaled(ground)}
        crowds = [stack.enter_context(_crowd(ground, name, each)) for name, each in sizes.items()]
        tables = {f"table {name}": taken for name, taken in crowds[-1].space.items()}

        def measure() -> Round:
            crowds.reverse()  # neither always goes first
            figures = {
                _name(operation, crowd.name): crowd.figures(ground, operation)
                for operation in OPERATIONS
                for crowd in crowds
            }
            rows = (_name(operation, crowd) for operation in OPERATIONS for crowd in sizes)
            return Round({name: figures[name] for name in rows} | tables)

        measure()  # what is only done once is not what is measured
        yield measure


def _scaled(ground: Ground) -> Sizes:
    """At least as many as there are few."""
    return Sizes(
        users=max(SMALL.users, round(LARGE.users * ground.scale)),
        clients=max(SMALL.clients, round(LARGE.clients * ground.scale)),
        families=max(SMALL.families, round(LARGE.families * ground.scale)),
    )


def _name(operation: str, crowd: str) -> str:
    return f"{operation}, {crowd}"


class _Crowd:
    """A running service with many of everything, and the `space` that each table takes.

    `refreshes` are those whose tokens are known. Who was drawn goes to their end, with the token that it has then.
    """

    def __init__(self, name: str, server: Server, sizes: Sizes, refreshes: Sequence[str], taken: _Tables) -> None:
        self.name = name
        self.space = taken
        self._server = server
        self._sizes = sizes
        self._refreshes = deque(refreshes)

    def figures(self, ground: Ground, operation: str) -> Figures:
        figures, report = measured(ground, self._server, self._drawn(operation))
        if operation == "refresh":
            self._refreshes.extend(report.requests)
        return {TOTAL: figures[CPU] + figures[DATABASE_CPU], **figures}

    def _drawn(self, operation: str) -> Sequence[str]:
        """What is asked this time."""
        if operation == "refresh":
            return [self._refreshes.popleft() for _ in range(min(_ASKED, len(self._refreshes)))]
        if operation == "introspection":
            return [self._introspection(number).text() for number in _sample(self._sizes.users, _INTROSPECTED)]
        if operation == "login":
            return [_login(self._sizes, number).text() for number in _sample(self._sizes.users, _ASKED)]
        return [_token(self._sizes, number).text() for number in _sample(self._sizes.clients, _ASKED)]

    def _introspection(self, number: int) -> Request:
        token = answered(self._server, _login(self._sizes, number))["access_token"]
        return form("/introspect", CLIENT, token=token)


@contextmanager
def _crowd(ground: Ground, name: str, sizes: Sizes) -> Iterator[_Crowd]:
    installation = prepared(ground, name, IDP_BCRYPT_COST=_BCRYPT_COST)
    known = asyncio.run(_fill(installation, sizes))
    refreshes = [_refresh(sizes, number, token).text() for number, token in known.items()]
    with serving_on(ground, name, installation) as server:
        for number in _sample(sizes.users, _FIRST_LOGINS):
            answered(server, _login(sizes, number))
        yield _Crowd(name, server, sizes, refreshes, _space(installation))


async def _fill(installation: Installation, sizes: Sizes) -> Mapping[int, str]:
    """Gives the refresh tokens of some families, by their numbers."""
    configured = installation.settings
    tokens = await _refresh_tokens(installation)
    known = {number: tokens.new(id_of(number, sizes.families)) for number in _sample(sizes.families, _KNOWN)}
    hasher = PasswordHasher(Peppers.of(configured.password_peppers), configured.bcrypt_cost)
    contents = Contents(
        sizes,
        hasher.hash(PASSWORD),
        secret_digest(CLIENT[1]),
        SCOPE,
        AUDIENCE,
        {number: digest(token) for number, token in known.items()},
        "127.0.0.1",
        datetime.now(UTC),
    )
    await fill(configured.database_url, contents)
    return known


def _space(installation: Installation) -> _Tables:
    found = asyncio.run(space(installation.settings.database_url))
    return {name: {"MiB": each.table, "MiB of indexes": each.indexes} for name, each in found.items()}


async def _refresh_tokens(installation: Installation) -> OpaqueTokens:
    """What makes the tokens that the service will recognise."""
    async with directories(installation.settings) as directory:
        secret = RefreshTokenSecret(directory.store, Sealer(installation.settings.key_encryption_keys))
        await secret.start()
        return secret()


def _sample(count: int, most: int) -> Sequence[int]:
    """At most so many of the numbers below `count`, all different, in no order."""
    return random.sample(range(count), min(count, most))


def _token(sizes: Sizes, number: int) -> Request:
    return form("/token", (client_of(number, sizes), CLIENT[1]), grant_type="client_credentials", scope=SCOPE)


def _login(sizes: Sizes, number: int) -> Request:
    client = client_of(number, sizes), CLIENT[1]
    return form("/token", client, grant_type="password", username=email_of(number), password=PASSWORD)


def _refresh(sizes: Sizes, number: int, token: str) -> Request:
    client = client_of(number, sizes), CLIENT[1]
    return form("/token", client, grant_type="refresh_token", refresh_token=token)


def _growth_of(operation: str) -> Callable[[Round], float]:
    return lambda of: of.ratio(TOTAL, _name(operation, MANY), _name(operation, FEW))


B10 = Benchmark(
    "B10",
    "growth: 10,000,000 users, 100,000 clients, 10,000,000 refresh families (times SCALE)",
    "1,000 of each",
    tuple(
        Promise(
            f"CPU of {operation}",
            at_most(1.1),
            _growth_of(operation),
        )
        for operation in OPERATIONS
    ),
    _contest,
)
