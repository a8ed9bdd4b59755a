"""The proof of rotation: a property test with the real code on a virtual clock, against all that goes wrong.

Several instances whose clocks are off, step and stand still, pauses of any length, verifiers that cache exactly
max-age and never fetch earlier, rotations by schedule and by hand, crashes between any two steps, restarts with other
settings, revocations, damaged rows, a restore. `invariants.py` says what must be true all along.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from idp.settings import Settings, _unsafe_rotation
from idp.store.database import DatabaseUnavailable
from keys.keyring import NoSigningKeyError
from keys.planning import NoSuchKeyError
from keys.schedule import PUBLIC_PHASES
from tests.keys.database import Time
from tests.keys.instance import Instance, Machine
from tests.keys.invariants import check
from tests.keys.steps import Steps
from tests.keys.verifiers import SharedCache, Verifier
from tests.keys.world import World

SKEW = 30
SHARED_CACHE = 60
INSTANCES = 3
NUMBERS = st.integers(0, INSTANCES - 1)
SECONDS = st.sampled_from([0.2, 1.0, 3.0, 12.0, 45.0, 100.0, 180.0, 300.0, 900.0, 4000.0, 90000.0])
LAGS = st.sampled_from([0.0, 0.5, 1.3])
POINTS = st.sampled_from(
    ["now", "told", "all", "answered", "lock", "change", "add", "audit", "commit", "committed", "clock read", "signing"]
)
"""Between which steps a process is paused or killed, or loses the answer of the database; see `database.py`."""


def profile(publish_ahead: int, **changes: Any) -> Settings:
    """Settings that `idp serve` accepts."""
    plain: dict[str, Any] = {
        "access_token_ttl": 300,
        "key_rotation_period": 2 * publish_ahead,
        "jwks_max_age": 120,
        "offline_signing": 60,
        "signing_algorithm": "EdDSA",
    }
    made = Settings(
        issuer="",
        database_url="",
        key_encryption_keys=(),
        password_peppers=(),
        clock_skew=SKEW,
        shared_cache_ttl=SHARED_CACHE,
        key_publish_ahead=publish_ahead,
        **plain | changes,
    )
    assert not _unsafe_rotation(made)
    return made


def profiles(publish_ahead: int) -> list[Settings]:
    return [
        profile(publish_ahead),
        profile(publish_ahead, access_token_ttl=1200),
        profile(publish_ahead, jwks_max_age=20, offline_signing=20),
        profile(publish_ahead, signing_algorithm="ES256"),
        profile(publish_ahead, key_rotation_period=publish_ahead),
        profile(publish_ahead, key_wait_for=("a verifier that never comes",)),
    ]


def verifiers(time: Time) -> list[Verifier]:
    return [
        Verifier(time, offset=0, leeway=25, slow=2, route=0, cached=False, eager=True),
        Verifier(time, offset=-25, leeway=0, slow=0, route=1, cached=False, eager=True),
        Verifier(time, offset=25, leeway=30, slow=0, route=2, cached=True, eager=True),
        Verifier(time, offset=0, leeway=0, slow=1, route=1, cached=True, eager=False),
        Verifier(time, offset=-10, leeway=15, slow=0, route=2, cached=False, eager=False),
    ]


class Installation(RuleBasedStateMachine):
    """Everything that can happen."""

    @initialize(publish_ahead=st.sampled_from([220, 900, 86400]), late=st.integers(0, 5))
    def install(self, publish_ahead: int, late: int) -> None:
        time = Time()
        self.world = World(profiles(publish_ahead), verifiers(time), time, SharedCache(time, SHARED_CACHE))
        self.world.on_work = lambda: check(self.world)  # type: ignore[method-assign]
        for number in range(INSTANCES):
            instance = self.world.start(number, Machine(time, boot=1000.0 * number), late * (number == 2))
            self.world.instances.append(instance)
        self.world.look()

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            check(self.world)

    def instance(self, number: int) -> Instance:
        return self.world.instances[number]

    # Time.

    @rule(seconds=SECONDS, lag=LAGS)
    def time_passes(self, seconds: float, lag: float) -> None:
        self.pass_time(seconds, lag)

    def pass_time(self, seconds: float, lag: float) -> None:
        """A database whose clock is wrong is repaired before all the keys that there are have ended."""
        if self.world.stepped and self.world.time.now + seconds > self.repaired_at:
            self.database_clock_is_set_right()
        self.world.pass_time(seconds, lag)

    @rule(which=st.integers(0, 3), by=st.sampled_from([-45.0, -12.0, -5.0, -1.0, -0.1, 0.0, 0.2, 1.0]), lag=LAGS)
    def time_comes_to_a_change(self, which: int, by: float, lag: float) -> None:
        edges = self.world.edges()
        if edges:
            at = edges[min(which, len(edges) - 1)] + by
            self.pass_time(max(0.1, at - self.world.time.now), lag)

    # What instances do, and how it is interrupted.

    def begin(self, number: int, deed: str, nth: int) -> Steps[Any] | None:
        instance = self.instance(number)
        by_hand = deed not in ("look", "issue")
        if not instance.runs or (by_hand and self.world.stepped):
            return None
        if deed == "revoke":
            public = [kid for kid in self.world.database.rows if self.is_public(kid)]
            return Steps(instance.revoke(public[nth % len(public)])) if public else None
        return Steps(getattr(instance, deed)())

    def is_public(self, kid: str) -> bool:
        return self.world.database.rows[kid].lifetime.phase(self.world.database.now) in PUBLIC_PHASES

    DEEDS = st.sampled_from(["look", "issue", "rotate", "rotate_now", "revoke"])

    @rule(number=NUMBERS, deed=DEEDS, nth=st.integers(0, 3))
    def do(self, number: int, deed: str, nth: int) -> None:
        instance = self.instance(number)
        must = instance.well and not self.world.repeats
        if steps := self.begin(number, deed, nth):
            self.finish(steps, deed, must)

    @rule(number=NUMBERS, deed=DEEDS, nth=st.integers(0, 3), at=POINTS)
    def pause(self, number: int, deed: str, nth: int, at: str) -> None:
        """The process stands still between two steps; its machine goes on."""
        instance = self.instance(number)
        must = instance.well and not self.world.repeats
        if steps := self.begin(number, deed, nth):
            if self.go(steps, at):
                instance.paused, self.paused_deed = steps, {**getattr(self, "paused_deed", {}), number: (deed, must)}
            else:
                self.finish(steps, deed, must)

    @rule(number=NUMBERS)
    def resume(self, number: int) -> None:
        instance = self.instance(number)
        if instance.paused is not None and instance.asleep_since is None:
            steps, instance.paused = instance.paused, None
            self.finish(steps, *self.paused_deed[number])
            self.ask(number)

    def ask(self, number: int) -> None:
        """Whoever needs keys and asks this instance does it now."""
        for verifier in self.world.verifiers:
            if verifier.route == number:
                self.world.fetch(verifier)

    MEANWHILE = st.sampled_from(["look", "rotate", "rotate_now", "revoke", "restart"])

    def another_does(self, number: int, deed: str, nth: int) -> None:
        other = (number + 1) % INSTANCES
        if deed == "restart":
            self.restart(other, 3)  # with another algorithm
        else:
            self.do(other, deed, nth)

    @rule(
        number=NUMBERS,
        which=st.integers(0, 3),
        by=st.sampled_from([-45.0, -12.0, -1.0, 10.0]),
        meanwhile=MEANWHILE,
        nth=st.integers(0, 3),
        seconds=SECONDS,
        heal=st.booleans(),
    )
    def cut_off(self, number: int, which: int, by: float, meanwhile: str, nth: int, seconds: float, heal: bool) -> None:
        """A partition, as others change what is to come."""
        self.time_comes_to_a_change(which, by, 0.5)
        self.partition(number, cut=True)
        self.another_does(number, meanwhile, nth)
        self.pass_time(seconds, 0.5)
        self.do(number, "issue", 0)
        self.ask(number)
        self.partition(number, cut=not heal)

    @rule(number=NUMBERS, deed=DEEDS, at=POINTS, meanwhile=MEANWHILE, seconds=SECONDS)
    def stall(self, number: int, deed: str, at: str, meanwhile: str, seconds: float) -> None:
        """A pause that others use."""
        self.pause(number, deed, 0, at)
        self.another_does(number, meanwhile, 0)
        self.pass_time(seconds, 0.5)
        self.resume(number)

    @rule(number=NUMBERS, deed=DEEDS, nth=st.integers(0, 3), at=POINTS, profile=st.integers(0, 5))
    def crash(self, number: int, deed: str, nth: int, at: str, profile: int) -> None:
        """kill -9 between two steps; the next start has other settings, maybe."""
        if self.world.may_start and (steps := self.begin(number, deed, nth)):
            self.go(steps, at)
            steps.kill()
            self.world.restart(number, profile)

    @rule(number=NUMBERS, deed=st.sampled_from(["look", "rotate", "rotate_now", "revoke"]), at=POINTS)
    def lose_an_answer(self, number: int, deed: str, at: str) -> None:
        """A call to the database fails, a COMMIT maybe that took place."""
        if (steps := self.begin(number, deed, 0)) and self.go(steps, at):
            try:
                steps.go_on(DatabaseUnavailable("The connection was lost."))
                self.finish(steps, deed, must=False)
            except (DatabaseUnavailable, NoSuchKeyError):
                pass

    def go(self, steps: Steps[Any], at: str) -> bool:
        """To a step of this name; False if it ended without one."""
        try:
            return steps.go_to(at)
        except (DatabaseUnavailable, NoSigningKeyError, NoSuchKeyError):
            return False

    def finish(self, steps: Steps[Any], deed: str, must: bool) -> None:
        try:
            outcome = steps.finish()
        except (DatabaseUnavailable, NoSuchKeyError):
            return
        except NoSigningKeyError as error:
            assert not must, f"an instance that was well when it read the clock does not sign: {error}"  # noqa: PT017
            return
        if deed == "issue" and outcome is not None:
            self.world.issued(outcome)

    @rule(number=NUMBERS, profile=st.integers(0, 5))
    def restart(self, number: int, profile: int) -> None:
        if self.world.may_start and self.instance(number).asleep_since is None:
            self.world.restart(number, profile)

    # Networks, machines and clocks.

    @rule(number=NUMBERS, cut=st.booleans())
    def partition(self, number: int, cut: bool) -> None:
        self.instance(number).link.cut = cut

    @rule(cut=st.booleans())
    def database_goes_down_or_up(self, cut: bool) -> None:
        for instance in self.world.instances:
            instance.link.cut = cut

    @rule(number=NUMBERS, there=st.sampled_from([0.0, 0.3]), back=st.sampled_from([0.0, 0.3]))
    def network_is_slow(self, number: int, there: float, back: float) -> None:
        self.instance(number).link.latency = (there, back)

    @rule(number=NUMBERS, ticker=st.booleans(), wall=st.booleans())
    def suspend(self, number: int, ticker: bool, wall: bool) -> None:
        instance = self.instance(number)
        if not instance.down and instance.asleep_since is None and not self.world.stepped:
            instance.asleep_since = self.world.time.now
            instance.machine.ticker_stops, instance.machine.wall_stops = ticker, wall and ticker

    @rule(number=NUMBERS)
    def wake(self, number: int) -> None:
        if self.instance(number).asleep_since is not None:
            self.world.wake(self.instance(number))

    @rule(number=NUMBERS, error=st.sampled_from([0.0, 3600.0, -3600.0]))
    def wall_clock_is_set(self, number: int, error: float) -> None:
        self.instance(number).machine.wall_error = error

    @rule(ahead=st.sampled_from([-2.0, 0.0, 2.0]))
    def database_clock_drifts(self, ahead: float) -> None:
        if not self.world.stepped:
            self.world.drift(ahead)

    @rule(ahead=st.sampled_from([5000.0, -5000.0]))
    def database_clock_is_set_wrong(self, ahead: float) -> None:
        if all(i.runs and not i.in_doubt for i in self.world.instances):
            self.world.database.ahead, self.world.stepped = ahead, True
            self.repaired_at = self.world.time.now + self.world.publish_ahead / 2

    @rule()
    def database_clock_is_set_right(self) -> None:
        if self.world.stepped:
            self.world.database.ahead, self.world.stepped = 0.0, False

    # Verifiers.

    @rule(which=st.integers(0, 4), route=NUMBERS)
    def reroute(self, which: int, route: int) -> None:
        self.world.verifiers[which].route = route

    @rule(which=st.integers(0, 4))
    def fetch(self, which: int) -> None:
        self.world.fetch(self.world.verifiers[which])

    # Disasters.

    @rule()
    def back_up(self) -> None:
        self.world.back_up()

    @precondition(lambda self: self.world.has_backup and self.world.may_start)
    @rule()
    def restore(self) -> None:
        if all(instance.asleep_since is None for instance in self.world.instances):
            self.world.restore()

    @rule(nth=st.integers(0, 1))
    def a_row_is_damaged(self, nth: int) -> None:
        able = [kid for kid, key in self.world.database.rows.items() if key.sealed]
        if nth < len(able):
            self.world.damage(able[nth])


class IndependentRuns(HypothesisProvider):
    """Hypothesis without its habit to make most of a run from parts of the one before: here that finds less."""


AVAILABLE_PROVIDERS["independent"] = f"{__name__}.{IndependentRuns.__name__}"
STEADY = settings(
    backend="independent",
    stateful_step_count=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)
"""The same steps in every run, so that a red one means a change in the code."""


def test_rotation() -> None:
    """A few thousand steps."""
    run_state_machine_as_test(Installation, settings=settings(STEADY, max_examples=250))


@pytest.mark.chaos
def test_rotation_at_full_count() -> None:
    """A hundred thousand steps, others in every run; what was found is in `.hypothesis` for the next one."""
    thorough = settings(
        STEADY, max_examples=6700, derandomize=False, database=DirectoryBasedExampleDatabase(".hypothesis/examples")
    )
    run_state_machine_as_test(Installation, settings=thorough)
