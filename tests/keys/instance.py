"""One instance of the service on a machine whose clocks can be wrong, stand still or jump: all real but the machine,
the thread that signs, the pairs of keys, which are made ahead, and the database."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from idp.clock import DatabaseClock
from idp.issuer import Issuer
from idp.protocol.audit import OPERATOR
from idp.protocol.authorization import Authorization
from idp.protocol.client import Client
from idp.settings import Settings
from idp.signing.keeper import KeyKeeper
from idp.signing.operations import KeyOperations, Spares
from idp.signing.readers import JwksReaders
from keys.jwk import KeyPair, generate
from keys.keyring import Bounds, Keyring, StoredKey
from keys.schedule import KeySettings
from keys.sealing import Sealer
from tests.keys.database import Database, Link, Tables, Time
from tests.keys.steps import Steps, step

ISSUER, AUDIENCE = "https://id.example.com", "https://api.example.com"
LOOKS_EVERY = 2.0
"""Seconds within which an instance that is well has looked at the database."""
_CLIENT = Client("client", "a client", "none", frozenset({"client_credentials"}))
_numbers = count()


@dataclass(slots=True)
class Machine:
    """A machine's clocks. `stood_still` is for how long its ticker has not run, `wall_error` what its wall is off.

    `ticker_stops` and `wall_stops` say which of them a suspension stops.
    """

    time: Time
    boot: float
    stood_still: float = 0.0
    wall_error: float = 0.0
    ticker_stops: bool = False
    wall_stops: bool = False

    def run_again(self, slept: float) -> None:
        """Ends a suspension of so many seconds."""
        self.stood_still += slept * self.ticker_stops
        self.wall_error -= slept * self.wall_stops

    def ticker(self) -> float:
        return self.time.now - self.boot - self.stood_still

    def wall(self) -> float:
        return self.time.now + self.wall_error


class ReadySpares(Spares):
    """Pairs made without a thread, and kept for the next run of the model, which knows them no more."""

    _made: ClassVar[dict[str, list[KeyPair]]] = {}

    def __init__(self, settings: KeySettings, serial: Callable[[], int]) -> None:
        super().__init__(settings)
        self._serial = serial

    async def make(self) -> KeyPair:
        made, serial = self._made.setdefault(self._settings.alg, []), self._serial()
        while len(made) <= serial:
            made.append(generate(self._settings.alg, 2048))
        return made[serial]


class Pen:
    """Signs in place of the thread, which may be kept from it for a while."""

    async def sign(self, work: Callable[[], bytes]) -> bytes:
        await step("signing")
        return work()


class WatchedKeyring(Keyring):
    """Knows when the keys that it holds were read, in true time."""

    link: Link
    clock: DatabaseClock
    truly_read_at = float("-inf")

    def replace(self, keys: Iterable[StoredKey], now: float) -> None:
        super().replace(keys, now)
        self.truly_read_at = self.link.read_at


@dataclass(slots=True)
class PausedBefore:
    """The keyring, behind a point at which the process may be paused: the clock was read, the key not picked."""

    keyring: Keyring

    async def sign(self, claims: dict[str, object], *, typ: str, now: float) -> tuple[str, str]:
        await step("clock read")
        return await self.keyring.sign(claims, typ=typ, now=now)


class Instance:
    """A process of the service."""

    def __init__(
        self, name: str, database: Database, machine: Machine, settings: Settings, sealer: Sealer, serial: "count[int]"
    ) -> None:
        self.name = name
        self.time = database.time
        self.machine = machine
        self.settings = settings
        self.link = Link(database)
        store = Tables(self.link)
        self.clock = DatabaseClock(skew=settings.clock_skew, ticker=machine.ticker, wall=machine.wall)
        self.keyring = WatchedKeyring(sealer, Pen(), bounds(settings))
        self.keyring.link, self.keyring.clock = self.link, self.clock
        spares = ReadySpares(settings.key_settings, lambda: next(serial))
        self.operations = KeyOperations(store, sealer, settings.key_settings, spares)
        self.keeper = KeyKeeper(store, self.keyring, self.clock, self.operations, JwksReaders(store, self.clock))
        self.issuer = Issuer(ISSUER, settings.access_token_ttl, self.clock, PausedBefore(self.keyring))
        self.looked_at = float("-inf")  # when the last of its looks began that succeeded, in true time
        self.down = True
        self.paused: Steps[Any] | None = None
        self.asleep_since: float | None = None
        self.lost = False
        """Its ticker stood still and it has not looked since: it cannot know that what it knows is old."""

    @property
    def runs(self) -> bool:
        return not self.down and self.paused is None and self.asleep_since is None

    @property
    def in_doubt(self) -> bool:
        """Its clock or the database's is wrong, as it may know or not."""
        return self.lost or self.clock.step is not None

    @property
    def well(self) -> bool:
        """It runs, knows the time, and has looked at the database as often as it should."""
        fresh = self.time.now - self.looked_at <= LOOKS_EVERY
        return self.runs and fresh and not self.in_doubt

    async def look(self) -> None:
        """What the keeper does once a second, and at the start."""
        self.link.forces, slept, began = False, self.machine.stood_still, self.time.now
        await self.keeper.look()
        self.looked_at, self.down = began, False
        self.lost &= self.machine.stood_still != slept

    async def rotate(self) -> None:
        """By hand, unnoticed."""
        self.link.forces = False
        await self.operations.rotate(OPERATOR, immediate=False)

    async def rotate_now(self) -> None:
        """By hand, at once."""
        self.link.forces = True
        await self.operations.rotate(OPERATOR, immediate=True)

    async def revoke(self, kid: str) -> None:
        """Ends a key."""
        self.link.forces = True
        await self.operations.revoke(kid, OPERATOR)

    async def recover(self) -> None:
        """After a restore."""
        self.link.forces = True
        await self.operations.recover(OPERATOR)

    async def issue(self) -> str:
        """A token."""
        answer = await self.issuer.issue(Authorization(_CLIENT, (), (AUDIENCE,)))
        return answer.access_token


def bounds(settings: Settings) -> Bounds:
    """Those of the service; `test_model_notices.py` puts others in their place."""
    return settings.keyring_bounds
