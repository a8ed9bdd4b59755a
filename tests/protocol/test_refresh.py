"""What presenting a refresh token means, against a model that is a list of tokens and three instants."""

from dataclasses import replace
from itertools import count
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from idp.protocol.errors import InvalidScopeError, InvalidTargetError
from idp.protocol.refresh import Family, Presentation, excess, presentation

CLIENT, KEY = "app", "the thumbprint of its key"
TTL, IDLE_TTL = 1000.0, 200.0

FRESH = Family(
    id=uuid4(),
    client_id=CLIENT,
    user_id=uuid4(),
    scope=("read", "write"),
    audience=("https://one.example", "https://two.example"),
    auth_time=0.0,
    amr=("pwd",),
    current_digest=b"0",
    previous_digest=None,
    rotated_at=None,
    sealed_successor=None,
    idle_until=IDLE_TTL,
    expires_at=TTL,
)


class FamilyOnAVirtualClock(RuleBasedStateMachine):
    """`family` goes by what `presentation` says. The model is what is written here of `chain` and the instants."""

    @initialize(window=st.sampled_from([0, 1, 30, 60]), dpop_jkt=st.sampled_from([None, KEY]))
    def begin(self, window: int, dpop_jkt: str | None) -> None:
        self.now = 0.0
        self.window = window
        self.family = replace(FRESH, dpop_jkt=dpop_jkt)
        self.numbers = count(1)
        self.chain = [b"0"]
        self.swapped_at = float("-inf")
        self.used_at = 0.0
        self.ended = False

    @rule(seconds=st.one_of(st.sampled_from([0.5, 1.0, 29.5, 30.0, 60.0, 199.5, 200.0]), st.floats(0, 90)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(back=st.sampled_from([0, 0, 0, 1, 1, 2, 4]))
    def present(self, back: int) -> None:
        """The current token, or one that was made before."""
        place = max(0, len(self.chain) - 1 - back)
        meaning = self.meaning(self.chain[place])
        assert meaning is self.expected(place)
        if meaning is Presentation.CURRENT:
            self.swap(self.chain[place])
        if meaning is Presentation.REPLAYED:
            self.family = replace(self.family, revoked_at=self.now)
            self.ended = True

    @rule(back=st.integers(0, 4), client=st.sampled_from(["another", "", "APP"]))
    def another_client_presents(self, back: int, client: str) -> None:
        token = self.chain[max(0, len(self.chain) - 1 - back)]
        assert self.meaning(token, client) is (Presentation.ENDED if self.is_over else Presentation.FOREIGN)

    @rule(back=st.integers(0, 4), proved=st.sampled_from([None, "another", "", "KEY"]))
    def it_is_presented_without_the_key(self, back: int, proved: str | None) -> None:
        """Which says nothing of families that are bound to none."""
        place = max(0, len(self.chain) - 1 - back)
        unproved = Presentation.UNPROVED if self.family.dpop_jkt and not self.is_over else self.expected(place)
        assert self.meaning(self.chain[place], proved=proved) is unproved

    @rule(really=st.sampled_from([False] * 9 + [True]))  # lest most families end before anything happens to them
    def revoke(self, really: bool) -> None:
        if really:
            self.family = replace(self.family, revoked_at=self.now)
            self.ended = True

    @invariant()
    def at_most_one_token_is_good(self) -> None:
        meanings = [self.meaning(token) for token in self.chain]
        assert meanings.count(Presentation.CURRENT) == (0 if self.is_over else 1)
        assert meanings.count(Presentation.REPEATED) <= 1

    def swap(self, presented: bytes) -> None:
        successor = b"%d" % next(self.numbers)
        self.family = replace(
            self.family,
            previous_digest=presented,
            current_digest=successor,
            rotated_at=self.now,
            sealed_successor=successor if self.window else None,
            idle_until=self.now + IDLE_TTL,
        )
        self.chain.append(successor)
        self.swapped_at = self.used_at = self.now

    def meaning(self, token: bytes, client: str = CLIENT, proved: str | None = KEY) -> Presentation:
        return presentation(self.family, token, client, proved, self.now, self.window)

    @property
    def is_over(self) -> bool:
        return self.ended or self.now >= TTL or self.now >= self.used_at + IDLE_TTL

    def expected(self, place: int) -> Presentation:
        if self.is_over:
            return Presentation.ENDED
        if place == len(self.chain) - 1:
            return Presentation.CURRENT
        within = place == len(self.chain) - 2 and self.now < self.swapped_at + self.window
        return Presentation.REPEATED if within else Presentation.REPLAYED


TestFamily = FamilyOnAVirtualClock.TestCase
TestFamily.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_r11_a_token_of_another_family_would_be_a_replay() -> None:
    """The caller has proved whose token it is; whatever else of the family comes is an ancestor."""
    assert presentation(FRESH, b"unknown", CLIENT, None, 0.0, 30) is Presentation.REPLAYED


def test_r11_without_a_sealed_successor_nothing_can_be_repeated() -> None:
    """The window was 0 when the token was swapped, and an operator has opened it since."""
    swapped = replace(FRESH, previous_digest=b"0", current_digest=b"1", rotated_at=0.0)
    assert presentation(swapped, b"0", CLIENT, None, 1.0, 30) is Presentation.REPLAYED


@pytest.mark.parametrize(
    ("scope", "audience", "refusal"),
    [
        ((), (), None),
        (("read",), ("https://two.example",), None),
        (("write", "read"), ("https://two.example", "https://one.example"), None),
        (("read", "admin"), (), InvalidScopeError),
        (("",), (), InvalidScopeError),
        ((), ("https://three.example",), InvalidTargetError),
        (("read",), ("https://one.example", "https://three.example"), InvalidTargetError),
        (("admin",), ("https://three.example",), InvalidScopeError),
    ],
)
def test_r12_more_than_was_granted_is_refused(
    scope: tuple[str, ...], audience: tuple[str, ...], refusal: type[Exception] | None
) -> None:
    found = excess(FRESH, scope, audience)
    assert (None if found is None else type(found)) is refusal
