"""A whole installation on a virtual clock: what happens in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from idp.settings import Settings
from idp.store.database import DatabaseUnavailable
from keys.keyring import NoSigningKeyError
from keys.schedule import line
from keys.sealing import Sealed, Sealer, SealingKey
from tests.keys.database import Database, Rows, Time
from tests.keys.instance import Instance, Machine
from tests.keys.steps import run
from tests.keys.tokens import Token, parse
from tests.keys.verifiers import SharedCache, Verifier, serve

SEALER = Sealer((SealingKey(bytes(range(32))),))
MOST_EDGES = 16
"""How many changes of phases one passage of time goes through, at most."""


@dataclass(slots=True)
class Fate:
    """What truly happened to a key, in true time."""

    published_at: float
    forced: bool = False
    """`now`, a revocation or a damaged predecessor made it sign before its publish-ahead had passed."""
    ended_at: float | None = None
    """When it was revoked, or lost by a restore."""


@dataclass
class World:
    """Instances, verifiers and the database between them."""

    profiles: Sequence[Settings]
    verifiers: Sequence[Verifier]
    time: Time
    cache: SharedCache
    instances: list[Instance] = field(default_factory=list)
    tokens: dict[str, Token] = field(default_factory=dict)
    """Of each key the one that lives longest."""
    fates: dict[str, Fate] = field(default_factory=dict)
    forced_at: float = float("-inf")
    stepped: bool = False
    """Somebody has set the database's clock, and not yet right again."""

    def __post_init__(self) -> None:
        self.database = Database(self.time, on_commit=self._committed)
        self._serial = count()
        self._backup: Rows = {}
        self._damaged: set[str] = set()
        self._set_back_until = float("-inf")

    @property
    def publish_ahead(self) -> float:
        return max(profile.key_publish_ahead for profile in self.profiles)

    # Instances.

    def start(self, number: int, machine: Machine, profile: int) -> Instance:
        """Makes an instance, which is down until its first look succeeds."""
        settings = self.profiles[profile % len(self.profiles)]
        return Instance(f"i{number}", self.database, machine, settings, SEALER, self._serial)

    def restart(self, number: int, profile: int) -> None:
        """Ends an instance and starts it again, with other settings maybe."""
        old = self.instances[number]
        if old.paused is not None:
            old.paused.kill()
        new = self.start(number, old.machine, profile)
        new.link.cut, new.link.latency = old.link.cut, old.link.latency
        self.instances[number] = new
        self.look_from(new)

    def look(self) -> None:
        """Every instance that runs looks at the database, and those that are down try to start."""
        for instance in self.instances:
            if instance.runs or (instance.down and instance.paused is None and instance.asleep_since is None):
                self.look_from(instance)

    def look_from(self, instance: Instance) -> None:
        if instance.down and not self.may_start:
            return
        try:
            run(instance.look())
        except DatabaseUnavailable:
            return

    def wake(self, instance: Instance) -> None:
        """An instance looks as soon as it wakes; if it cannot, it does not even know that it slept."""
        assert instance.asleep_since is not None
        instance.machine.run_again(self.time.now - instance.asleep_since)
        instance.lost = instance.machine.ticker_stops
        instance.asleep_since = None
        self.look_from(instance)

    # Time.

    def pass_time(self, seconds: float, lag: float) -> None:
        """Lets time pass, through every change of a phase; instances that are well look all along.

        At the end their last look is `lag` seconds ago.
        """
        end = self.time.now + seconds
        for _ in range(MOST_EDGES):
            edge = next((at for at in self.edges() if at < end - 1), None)
            if edge is None:
                break
            self._work_at(edge - 0.3)
            self._work_at(edge + 0.7)
        self._work_at(end - lag)
        self.time.now = max(self.time.now, end)

    def edges(self) -> Sequence[float]:
        """When phases change next, in true time."""
        lives = [key.lifetime for key in self.database.rows.values()]
        instants = {at for life in lives for at in (life.sign_from, life.sign_until, life.verify_until)}
        return sorted(at for instant in instants if (at := instant - self.database.ahead) > self.time.now)

    def _work_at(self, instant: float) -> None:
        self.time.now = max(self.time.now, instant)
        self.look()
        for instance in self.instances:
            if instance.runs:
                self.issue(instance)
        for verifier in self.verifiers:
            if verifier.eager:
                self.fetch(verifier)
        self.on_work()

    def on_work(self) -> None:
        """For whoever wants to see what is true in between."""

    # Tokens and keys.

    def issue(self, instance: Instance) -> None:
        """A token, without a pause. An instance that is well always has one."""
        must = instance.well and not self.repeats
        try:
            self.issued(run(instance.issue()))
        except NoSigningKeyError as error:
            assert not must, f"{instance.name} is well and cannot sign: {error}"  # noqa: PT017

    def issued(self, text: str) -> None:
        """Takes a token over, and shows it to the verifiers that have its key."""
        token = parse(text)
        self.tokens = {kid: old for kid, old in self.tokens.items() if old.exp + 120 > self.time.now}
        if token.kid not in self.tokens or self.tokens[token.kid].exp < token.exp:
            self.tokens[token.kid] = token
        for verifier in self.verifiers:
            if verifier.can_verify(token):
                verifier.verify(token)
                break  # the others have the same key; a real verification costs as much as all else here

    def fetch(self, verifier: Verifier) -> None:
        """Fetches keys, if those that the verifier has ran out, through its cache and from its instance."""
        if verifier.fresh:
            return
        instance: Instance | None = self.instances[verifier.route % len(self.instances)]
        assert instance is not None
        if not instance.runs or instance.lost:
            instance = None
        answer = self.cache.fetch(instance) if verifier.cached else serve(instance) if instance else None
        if answer is not None:
            verifier.take(answer)

    # What an operator and misfortune do.

    def drift(self, ahead: float) -> None:
        """The database's clock is corrected a little."""
        if ahead < self.database.ahead:
            self._set_back_until = self.time.now + self.database.ahead - ahead
        self.database.ahead = ahead

    @property
    def repeats(self) -> bool:
        """Whether the database's clock says again what it has said before: a key may have begun to sign in between."""
        return self.time.now < self._set_back_until

    @property
    def may_start(self) -> bool:
        """Whoever starts believes the database's clock, so nobody should while it is wrong."""
        return not self.stepped and not self.repeats

    @property
    def has_backup(self) -> bool:
        return bool(self._backup)

    def back_up(self) -> None:
        self._backup = self.database.rows

    def restore(self) -> None:
        """Stops the service, takes the table back to the backup, recovers and starts again."""
        profiles = [self.profiles.index(instance.settings) for instance in self.instances]
        for instance in self.instances:
            if instance.paused is not None:
                instance.paused.kill()
        self.database.rows, self.database.holder = self._backup, None
        for fate in self.fates.values():
            fate.ended_at = fate.ended_at or self.time.now
        tool = self.start(-1, Machine(self.time, 0.0), 0)
        run(tool.recover())
        for number, profile in enumerate(profiles):
            self.restart(number, profile)

    def damage(self, kid: str) -> None:
        """A bit of a sealed private half falls over."""
        key = self.database.rows[kid]
        assert key.sealed is not None
        self._damaged.add(kid)
        box = bytes([key.sealed.box[0] ^ 1]) + key.sealed.box[1:]
        self.database.rows = {
            **self.database.rows,
            kid: replace(key, sealed=Sealed(key.sealed.sealed_by, box)),
        }

    def _committed(self, before: Rows, after: Rows, forced: bool) -> None:
        now, waiting = self.time.now, line(before.values(), self.database.now)
        forced |= not before or any(key.kid in self._damaged for key in waiting)
        # Nobody can sign, since nobody reached the database for as long as the last key lasted, and someone whose clock
        # is in doubt may have read the table already and wait for others to do something about it.
        forced |= not waiting and any(instance.in_doubt for instance in self.instances)
        for kid, key in after.items():
            fate = self.fates.setdefault(kid, Fate(now))
            if key.lifetime.revoked_at is not None and fate.ended_at is None:
                fate.ended_at = now
            if forced and key.lifetime.sign_from < key.lifetime.publish_at + self.publish_ahead:
                fate.forced = True
        if forced:
            self.forced_at = now
