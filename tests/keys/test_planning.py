"""The decisions that make a rotation: what to change, from keys, time and policy alone."""

from dataclasses import replace
from itertools import pairwise

import pytest

from keys.planning import ALGORITHM_PATIENCE, NoSuchKeyError, Plan, revocation, rotation, upkeep
from keys.schedule import Lifetime, Phase, RotationPolicy, ScheduledKey, line

DAY = 86400.0
NOW = 1_800_000_000.0
POLICY = RotationPolicy(rotation_period=30 * DAY, publish_ahead=DAY, retention=940)


class Table:
    """The key table, as plans change it."""

    def __init__(self, now: float = NOW, policy: RotationPolicy = POLICY, alg: str = "RS256") -> None:
        self.now = now
        self.policy = policy
        self.alg = alg
        self.keys: list[ScheduledKey] = []

    def carry_out(self, plan: Plan) -> None:
        self.keys = [replace(key, lifetime=plan.changed.get(key.kid, key.lifetime)) for key in self.keys]
        if plan.asked in plan.changed:
            self.keys = [replace(k, asked_at=self.now) if k.kid == plan.asked else k for k in self.keys]
        for lifetime in plan.made:
            self.keys.append(ScheduledKey(kid=f"k{len(self.keys)}", alg=self.alg, lifetime=lifetime))

    def keep_up(self) -> Plan:
        plan = upkeep(self.keys, self.now, self.policy, self.alg)
        self.carry_out(plan)
        assert not upkeep(self.keys, self.now, self.policy, self.alg), "upkeep settles in one step"
        return plan

    def rotate(self, *, immediate: bool = False) -> Plan:
        plan = rotation(self.keys, self.now, self.policy, immediate=immediate)
        self.carry_out(plan)
        self.keep_up()
        return plan

    def revoke(self, kid: str) -> Plan:
        plan = revocation(self.keys, kid, self.now, self.policy)
        self.carry_out(plan)
        self.keep_up()
        return plan

    def phases(self) -> dict[str, Phase]:
        return {key.kid: key.lifetime.phase(self.now) for key in self.keys}

    def key(self, kid: str) -> ScheduledKey:
        return next(key for key in self.keys if key.kid == kid)

    def check(self) -> None:
        """Exactly one key signs at every instant from now on."""
        waiting = line(self.keys, self.now)
        assert waiting[0].lifetime.sign_from <= self.now
        for one, following in pairwise(waiting):
            assert one.lifetime.sign_until == following.lifetime.sign_from


@pytest.fixture
def table() -> Table:
    table = Table()
    table.keep_up()
    return table


def test_the_first_start_signs_at_once_and_publishes_the_next(table: Table) -> None:
    assert table.phases() == {"k0": Phase.SIGNING, "k1": Phase.PUBLISHED}
    table.check()


def test_a_successor_is_made_as_soon_as_its_predecessor_signs(table: Table) -> None:
    table.now = table.key("k0").lifetime.sign_until
    plan = table.keep_up()
    assert len(plan.made) == 1
    assert table.phases() == {"k0": Phase.VERIFYING, "k1": Phase.SIGNING, "k2": Phase.PUBLISHED}
    assert table.key("k2").lifetime.sign_from - NOW >= POLICY.publish_ahead
    table.check()


def test_a_key_is_public_for_the_publish_ahead_before_it_signs_even_after_a_long_sleep(table: Table) -> None:
    table.now = table.key("k1").lifetime.sign_until - 60  # nobody looked while k1 signed
    table.keep_up()
    made = table.key("k2").lifetime
    assert made.sign_from - made.publish_at >= POLICY.publish_ahead
    table.check()


def test_after_all_keys_ended_one_signs_at_once(table: Table) -> None:
    table.now += 365 * DAY
    table.keep_up()
    assert table.phases()["k2"] is Phase.SIGNING
    table.check()


def test_verify_until_rises_before_longer_tokens_are_allowed(table: Table) -> None:
    before = table.key("k0").lifetime.verify_until
    table.policy = replace(POLICY, retention=POLICY.retention + 3600)
    table.keep_up()
    assert table.key("k0").lifetime.verify_until == before + 3600


def test_verify_until_never_falls(table: Table) -> None:
    before = table.key("k0").lifetime.verify_until
    table.policy = replace(POLICY, retention=60)
    table.keep_up()
    table.rotate(immediate=True)
    assert table.key("k0").lifetime.verify_until == before


class TestRotation:
    def test_a_young_key_waits_until_every_verifier_has_it(self, table: Table) -> None:
        plan = table.rotate()
        assert table.key("k1").lifetime.sign_from == NOW + POLICY.publish_ahead
        assert plan.asked == "k1"
        table.check()

    def test_an_old_key_signs_as_soon_as_all_instances_know(self, table: Table) -> None:
        table.now += 5 * DAY
        table.rotate()
        assert table.key("k1").lifetime.sign_from == table.now + POLICY.propagation
        table.check()

    def test_repeats_leave_a_pending_rotation_as_it_is(self, table: Table) -> None:
        table.rotate()
        table.now += 60
        plan = table.rotate()
        assert (plan, plan.asked) == (Plan(asked="k1"), "k1")

    def test_now_signs_at_once_and_has_a_successor(self, table: Table) -> None:
        table.rotate(immediate=True)
        assert table.phases() == {"k0": Phase.VERIFYING, "k1": Phase.SIGNING, "k2": Phase.PUBLISHED}
        table.check()

    def test_now_repeated_at_once_is_one_rotation(self, table: Table) -> None:
        table.rotate(immediate=True)
        table.now += 1
        assert table.rotate(immediate=True) == Plan(asked="k1")

    def test_now_hastens_a_pending_rotation(self, table: Table) -> None:
        table.rotate()
        table.now += 60
        table.rotate(immediate=True)
        assert table.phases()["k1"] is Phase.SIGNING

    def test_it_never_comes_later_than_planned(self, table: Table) -> None:
        planned = table.key("k1").lifetime.sign_from
        table.now = planned - 1
        table.rotate()
        assert table.key("k1").lifetime.sign_from == planned


class TestRevocation:
    def test_of_the_signing_key_lets_the_next_sign_and_then_one_that_nobody_has_seen(self, table: Table) -> None:
        table.now += DAY
        table.revoke("k0")
        assert table.phases() == {"k0": Phase.REVOKED, "k1": Phase.SIGNING, "k2": Phase.PUBLISHED}
        assert table.key("k2").lifetime.publish_at == table.now
        assert table.key("k2").lifetime.sign_from == table.now + POLICY.publish_ahead
        table.check()

    @pytest.mark.parametrize("kid", ["k1", "k2"])
    def test_of_another_key_schedules_an_unseen_one_too(self, table: Table, kid: str) -> None:
        table.now += 40 * DAY
        table.keep_up()
        table.revoke(kid)
        signing, unseen = line(table.keys, table.now)
        assert unseen.lifetime.publish_at == table.now
        assert unseen.lifetime.sign_from == signing.lifetime.sign_until == table.now + POLICY.publish_ahead
        table.check()

    def test_of_key_after_key_always_leaves_one_that_signs(self, table: Table) -> None:
        for _ in range(10):
            table.revoke(line(table.keys, table.now)[0].kid)
            table.check()

    @pytest.mark.parametrize("kid", ["nobody", "k0"])
    def test_of_a_key_that_is_not_there_or_gone(self, table: Table, kid: str) -> None:
        table.revoke("k0")
        with pytest.raises(NoSuchKeyError, match=kid):
            table.revoke(kid)


class TestAlgorithm:
    def test_a_change_is_a_rotation_with_the_new_key_published_ahead(self, table: Table) -> None:
        table.now += ALGORITHM_PATIENCE
        table.alg = "ES256"
        table.keep_up()
        assert table.phases() == {"k0": Phase.SIGNING, "k1": Phase.RETIRED, "k2": Phase.PUBLISHED}
        assert table.key("k2").alg == "ES256"
        assert table.key("k2").lifetime.sign_from == table.now + POLICY.publish_ahead
        table.check()

    def test_instances_with_old_and_new_settings_do_not_undo_each_other(self, table: Table) -> None:
        table.now += ALGORITHM_PATIENCE
        for second in range(int(ALGORITHM_PATIENCE) - 1):
            table.now += 1
            table.alg = ("ES256", "RS256")[second % 2]
            table.keep_up()
        assert len(table.keys) <= 3


def test_a_lifetime_knows_its_next_change() -> None:
    life = Lifetime(0, 10, 20, 30)
    assert [life.next_change(now) for now in (0, 9.9, 10, 19, 20, 30)] == [10, 10, 20, 20, 30, None]
    assert [life.phase(now) for now in (0, 10, 20, 30)] == [
        Phase.PUBLISHED,
        Phase.SIGNING,
        Phase.VERIFYING,
        Phase.RETIRED,
    ]
