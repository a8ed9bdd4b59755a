"""The model goes red when a defence is missing: each is taken away here in turn, and what breaks is named."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import Phase as Stage
from hypothesis import settings
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test

import idp.signing.operations
import keys.keyring
import keys.planning
from idp.clock import Reading
from idp.settings import Settings
from keys import jws
from keys.keyring import Keyring, StoredKey
from keys.schedule import Lifetime, Phase, RotationPolicy
from tests.keys import instance
from tests.keys.database import Keys
from tests.keys.test_model import SKEW, STEADY, Installation

Patch = Callable[[pytest.MonkeyPatch], None]
REJECTED = "a good token is rejected"


def only(*wanted: str) -> type[Installation]:
    """The model with these rules: the others would only make it slower to find the hole."""
    rules = {name: member for name, member in vars(Installation).items() if hasattr(member, RULE_MARKER)}
    left_out = rules.keys() - set(wanted)
    assert set(wanted) <= rules.keys()
    return type("Focused", (Installation,), {name: getattr(rules[name], RULE_MARKER).function for name in left_out})


def policy_with(change: Callable[[RotationPolicy], RotationPolicy]) -> Patch:
    kept: Any = vars(Settings)["rotation_policy"]

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Settings, "rotation_policy", property(lambda self: change(kept.fget(self))))

    return patch


def bounds_with(**changes: float) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        kept = instance.bounds
        monkeypatch.setattr(instance, "bounds", lambda settings: replace(kept(settings), **changes))

    return patch


def setting(owner: object, name: str, value: object) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def both(*patches: Patch) -> Patch:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for each in patches:
            each(monkeypatch)

    return patch


async def sign_without_a_look_at_exp(self: Keyring, claims: dict[str, Any], *, typ: str, now: float) -> tuple[str, str]:
    return await _sign(self, claims, typ, self.signing_key(now))


async def sign_with_a_second_reading(self: Any, claims: dict[str, Any], *, typ: str, now: float) -> tuple[str, str]:
    key, later = self.signing_key(now), int(self.clock())
    claims = {**claims, "iat": later, "exp": later + claims["exp"] - claims["iat"]}
    return await _sign(self, claims, typ, key)


async def _sign(self: Any, claims: dict[str, Any], typ: str, key: StoredKey) -> tuple[str, str]:
    message = jws.signing_input(self._header(key, typ), claims)
    return (message + b"." + jws.base64url(self._signers[key.kid](message))).decode(), key.kid


async def keep(self: Keys, kids: Iterable[str]) -> None:
    """In place of destroying."""


def jwks_of_the_moment(self: Any, now: float) -> keys.keyring.JwkSet:
    return keys.keyring._jwk_set(self._keys, self._phase_time(now))


def replaced_as_of_now(self: Any, stored: Iterable[StoredKey], now: float) -> None:
    Keyring.replace(self, stored, self.clock())
    self.truly_read_at = self.link.read_at


def put_off_at_the_last_moment(stored: Sequence[StoredKey], now: float, policy: RotationPolicy) -> keys.planning.Plan:
    return keys.planning.postponement(stored, now, replace(policy, propagation=0.0))


@dataclass(frozen=True, slots=True)
class Missing:
    """A defence that is taken away, the rules that it defends against, and what then breaks."""

    defence: str
    patch: Patch
    breaks: str
    rules: tuple[str, ...] = ("do", "time_passes", "time_comes_to_a_change")


MISSING = [
    Missing(
        "pre-publication",
        setting(keys.keyring, "PUBLIC_PHASES", frozenset({Phase.SIGNING, Phase.VERIFYING})),
        f"{REJECTED}|withholds",
    ),
    Missing("publish-ahead of rotations by hand", policy_with(lambda p: replace(p, publish_ahead=0.0)), REJECTED),
    Missing("overlap", setting(keys.keyring, "PUBLIC_PHASES", frozenset({Phase.PUBLISHED, Phase.SIGNING})), REJECTED),
    Missing(
        "one skew of the retention", policy_with(lambda p: replace(p, retention=p.retention - SKEW)), "cannot sign"
    ),
    Missing(
        "one skew of the retention, and the look at exp before signing",
        both(
            policy_with(lambda p: replace(p, retention=p.retention - SKEW)),
            setting(Keyring, "sign", sign_without_a_look_at_exp),
        ),
        REJECTED,
    ),
    Missing(
        "the look at exp before signing",
        setting(Keyring, "sign", sign_without_a_look_at_exp),
        REJECTED,
        ("suspend", "wake", "time_passes"),
    ),
    Missing(
        "one reading of the clock",
        setting(Keyring, "sign", sign_with_a_second_reading),
        REJECTED,
        ("stall", "time_passes"),
    ),
    Missing("the end of private halves in the table", setting(Keys, "destroy_private", keep), "still in the table"),
    Missing(
        "the end of private halves in memory", setting(keys.keyring, "PRIVATE_PHASES", frozenset(Phase)), "still holds"
    ),
    Missing(
        "the bound on signing offline",
        bounds_with(offline=float("inf")),
        "has not read the table",
        ("partition", "time_passes"),
    ),
    Missing(
        "the shorter max-age of who is cut off",
        setting(Keyring, "_complete_until", float("inf")),
        REJECTED,
        ("cut_off", "time_passes"),
    ),
    Missing(
        "the part of shared caches in it",
        bounds_with(shared_cache=0.0),
        REJECTED,
        ("cut_off", "time_passes", "reroute"),
    ),
    Missing(
        "keys that stay while nobody reads",
        setting(Keyring, "jwks", jwks_of_the_moment),
        REJECTED,
        ("cut_off", "time_passes"),
    ),
    Missing(
        "the age of keys from before they are read",
        setting(instance.WatchedKeyring, "replace", replaced_as_of_now),
        "has not read",
        ("stall", "time_passes"),
    ),
    Missing(
        "the publicity of keys that are withdrawn late",
        setting(
            Lifetime, "withdrawn", lambda life, now: replace(life, sign_from=now, sign_until=now, verify_until=now)
        ),
        REJECTED,
        ("cut_off", "time_passes"),
    ),
    Missing(
        "doubt about readings that took long",
        setting(Reading, "offset", lambda reading, _: reading.now - (reading.before + reading.after) / 2),
        "is off by",
        ("stall", "time_passes"),
    ),
    Missing(
        "the end of pairs whose COMMIT got no answer",
        setting(idp.signing.operations, "_handed_out", lambda pairs, used: iter(pairs)),
        "unique_violation",
        ("lose_an_answer", "time_passes"),
    ),
    Missing(
        "time that never goes back in the table",
        setting(idp.signing.operations, "_never_back", lambda now, keys: float(now)),
        "CHECK refuses",
        ("database_clock_drifts", "restart"),
    ),
    Missing(
        "time for all to hear that a rotation is put off",
        setting(idp.signing.operations, "postponement", put_off_at_the_last_moment),
        "instances sign with",
        ("restart", "time_passes", "time_comes_to_a_change"),
    ),
]


IN_THE_SUITE = {"pre-publication", "one skew of the retention", "overlap"}
"""The others take minutes: `make chaos` has them."""


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param(each, id=each.defence, marks=[] if each.defence in IN_THE_SUITE else pytest.mark.chaos)
        for each in MISSING
    ],
)
def test_it_goes_red_without(missing: Missing, monkeypatch: pytest.MonkeyPatch) -> None:
    missing.patch(monkeypatch)
    model = settings(STEADY, max_examples=2000, phases=[Stage.generate])
    with pytest.raises(AssertionError, match=missing.breaks):
        run_state_machine_as_test(only(*missing.rules), settings=model)
