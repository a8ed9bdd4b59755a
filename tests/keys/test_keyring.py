"""What an instance signs with and publishes, from the keys that it read."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet as JoseKeySet
from joserfc.jws import extract_compact

from idp_verifier import KeySet, verify_token
from keys.algorithms import ALGORITHMS
from keys.jwk import generate
from keys.keyring import Bounds, Keyring, NoSigningKeyError, StoredKey
from keys.schedule import Lifetime
from keys.sealing import Sealed, Sealer, SealingKey, UnknownSealingKeyError

NOW = 1_800_000_000.0
SEALER = Sealer([SealingKey(bytes(32))])
BOUNDS = Bounds(skew=30, offline=60, publish_ahead=86400, max_age=300, shared_cache=0)
ISSUER, AUDIENCE = "https://id.example.com", "https://api.example.com"


class Inline:
    """Signs where it is, and counts."""

    def __init__(self) -> None:
        self.signed = 0

    async def sign(self, work: Callable[[], bytes]) -> bytes:
        self.signed += 1
        return work()


def stored(sign_from: float, sign_until: float, *, alg: str = "EdDSA", **changes: Any) -> StoredKey:
    """A key that is published since a day and verifies for 1000 s after it signed."""
    pair = generate(alg, 2048)
    life = Lifetime(NOW - 86400, NOW + sign_from, NOW + sign_until, NOW + sign_until + 1000)
    sealed = SEALER.seal(pair.kid, pair.private)
    key = StoredKey(kid=pair.kid, alg=alg, lifetime=life, public_jwk=pair.public_jwk, sealed=sealed)
    return replace(key, **changes)


def damaged(key: StoredKey) -> StoredKey:
    assert key.sealed is not None
    return replace(key, sealed=Sealed(key.sealed.sealed_by, key.sealed.box[:-1] + b"?"))


def claims(exp: float = NOW + 900) -> dict[str, object]:
    return {
        "iss": ISSUER,
        "sub": "client",
        "aud": AUDIENCE,
        "exp": int(exp),
        "iat": int(NOW),
        "jti": "1",
        "client_id": "client",
    }


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(SEALER, Inline(), BOUNDS)


FORMER, CURRENT, NEXT = stored(-5000, 0), stored(0, 5000), stored(5000, 10000)
ALL = [FORMER, CURRENT, NEXT]


def kids(keyring: Keyring, now: float = NOW) -> list[str]:
    return [str(key["kid"]) for key in keyring.jwks(now).keys]


class TestSigning:
    @pytest.mark.parametrize(("alg", "signed"), [("RS256", 1), ("PS256", 1), ("ES256", 0), ("EdDSA", 0)])
    async def test_only_what_takes_long_is_handed_to_the_thread(self, alg: str, signed: int) -> None:
        thread = Inline()
        keyring = Keyring(SEALER, thread, BOUNDS)
        keyring.replace([stored(0, 5000, alg=alg)], NOW)
        await keyring.sign(claims(), typ="at+jwt", now=NOW)
        assert thread.signed == signed

    @pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 would call it Ed25519
    @pytest.mark.parametrize("alg", ALGORITHMS)
    async def test_others_verify_what_each_algorithm_signs(self, keyring: Keyring, alg: str) -> None:
        key = stored(0, 5000, alg=alg)
        keyring.replace([key], NOW)
        token, kid = await keyring.sign(claims(), typ="at+jwt", now=NOW)
        jwks = keyring.jwks(NOW)
        by_ours = verify_token(token, KeySet.parse(jwks.body), issuer=ISSUER, audience=AUDIENCE, now=NOW)
        by_joserfc = jwt.decode(
            token, JoseKeySet.import_key_set({"keys": [dict(key) for key in jwks.keys]}), algorithms=[alg]
        )
        assert dict(by_ours) == by_joserfc.claims == claims()
        assert by_joserfc.header == {"typ": "at+jwt", "alg": alg, "kid": kid}

    async def test_the_header_says_what_it_was_asked_to(self, keyring: Keyring) -> None:
        keyring.replace(ALL, NOW)
        for typ in ("at+jwt", "JWT", "at+jwt"):
            token, _ = await keyring.sign(claims(), typ=typ, now=NOW)
            assert extract_compact(token.encode()).headers()["typ"] == typ

    @pytest.mark.parametrize(("now", "key"), [(-1, FORMER), (0, CURRENT), (4999.9, CURRENT), (5000, NEXT)])
    def test_the_time_picks_the_key(self, keyring: Keyring, now: float, key: StoredKey) -> None:
        keyring.replace(ALL, NOW - 1)
        keyring.replace(ALL, NOW + now)
        assert keyring.signing_key(NOW + now) == key

    def test_what_signed_before_says_nothing_of_what_signs_now(self) -> None:
        keyring = Keyring(SEALER, Inline(), replace(BOUNDS, offline=1e9))
        keyring.replace(ALL, NOW - 10)
        keyring.replace(ALL, NOW)
        times = {0: CURRENT, 4999: CURRENT, 5000: NEXT, 9999: NEXT, 5001: NEXT, 1: CURRENT, 9998: NEXT}
        for now, key in times.items():
            assert keyring.signing_key(NOW + now) == key
        keyring.freeze(NOW + 4999)
        for now, key in {9999: CURRENT, 20000: CURRENT, 4998: CURRENT, 5000: CURRENT}.items():
            assert keyring.signing_key(NOW + now) == key
        keyring.thaw()
        assert keyring.signing_key(NOW + 5000) == NEXT
        for _ in range(2):
            with pytest.raises(NoSigningKeyError):
                keyring.signing_key(NOW + 10000)
        assert keyring.signing_key(NOW + 9999) == NEXT

    async def test_a_key_that_another_instance_has_spent_already_signs_until_its_end(self, keyring: Keyring) -> None:
        """The other one's clock is a little ahead of ours."""
        keyring.replace([CURRENT, NEXT], NOW)
        keyring.replace([replace(CURRENT, sealed=None), NEXT], NOW + 4999)
        assert keyring.signing_key(NOW + 4999).kid == CURRENT.kid
        keyring.replace([replace(CURRENT, sealed=None), NEXT], NOW + 5000)
        assert set(keyring._signers) == {NEXT.kid}

    async def test_a_token_does_not_outlive_its_key(self, keyring: Keyring) -> None:
        keyring.replace(ALL, NOW)
        last = CURRENT.lifetime.verify_until - BOUNDS.skew
        await keyring.sign(claims(last), typ="at+jwt", now=NOW)
        with pytest.raises(NoSigningKeyError, match="outlive"):
            await keyring.sign(claims(last + 1), typ="at+jwt", now=NOW)

    async def test_a_pause_before_the_signature_changes_neither_key_nor_times(self) -> None:
        """Partition or pause of one instance: the reading of the clock that made `exp` picks the key as well."""
        resumed, key = asyncio.Event(), stored(0, 5000, alg="RS256")

        class Paused:
            async def sign(self, work: Callable[[], bytes]) -> bytes:
                await resumed.wait()
                return work()

        keyring = Keyring(SEALER, Paused(), BOUNDS)
        keyring.replace([FORMER, key, NEXT], NOW)
        signing = asyncio.create_task(keyring.sign(claims(), typ="at+jwt", now=NOW))
        await asyncio.sleep(0)
        keyring.replace([NEXT], NOW + 86400)
        resumed.set()
        token, kid = await signing
        assert kid == key.kid
        verify_token(token, KeySet.parse({"keys": [dict(key.public_jwk)]}), issuer=ISSUER, audience=AUDIENCE, now=NOW)

    @pytest.mark.parametrize("offline", [1.0, 60.0])
    def test_who_has_not_read_the_table_for_long_does_not_sign(self, offline: float) -> None:
        keyring = Keyring(SEALER, Inline(), replace(BOUNDS, offline=offline))
        keyring.replace(ALL, NOW)
        keyring.signing_key(NOW + offline)
        with pytest.raises(NoSigningKeyError, match="not read"):
            keyring.signing_key(NOW + offline + 0.1)

    @pytest.mark.parametrize("keys", [[], [FORMER], [NEXT], [replace(CURRENT, sealed=None)]])
    def test_without_a_key_that_signs_it_says_so(self, keyring: Keyring, keys: list[StoredKey]) -> None:
        keyring.replace(keys, NOW)
        with pytest.raises(NoSigningKeyError):
            keyring.signing_key(NOW)

    def test_a_revoked_key_stops_at_once_even_while_the_clock_is_in_doubt(self, keyring: Keyring) -> None:
        keyring.replace(ALL, NOW)
        keyring.freeze(NOW)
        revoked = replace(CURRENT, lifetime=replace(CURRENT.lifetime, revoked_at=NOW + 3600))
        keyring.replace([FORMER, revoked, NEXT], NOW + 1)
        with pytest.raises(NoSigningKeyError):
            keyring.signing_key(NOW + 1)
        assert kids(keyring) == [FORMER.kid, NEXT.kid]
        assert CURRENT.kid not in keyring._signers


class TestDamage:
    """One key row corrupt: it is skipped and reported; the others serve."""

    def test_a_damaged_row_is_skipped_and_its_public_half_stays(self, keyring: Keyring) -> None:
        broken = damaged(NEXT)
        keyring.replace([FORMER, CURRENT, broken], NOW)
        assert keyring.signing_key(NOW) == CURRENT
        assert kids(keyring) == [FORMER.kid, CURRENT.kid, NEXT.kid]
        assert keyring.unusable(NOW) == [NEXT.kid]

    def test_a_row_that_holds_no_key_is_damaged(self, keyring: Keyring) -> None:
        keyring.replace([CURRENT, replace(NEXT, sealed=SEALER.seal(NEXT.kid, b"no key"))], NOW)
        assert keyring.unusable(NOW) == [NEXT.kid]

    def test_nothing_is_unusable_that_has_no_use(self, keyring: Keyring) -> None:
        keyring.replace([damaged(FORMER), CURRENT, NEXT], NOW)
        assert keyring.unusable(NOW) == []

    def test_a_key_sealed_under_an_unknown_key_is_refused_and_changes_nothing(self) -> None:
        keyring = Keyring(Sealer([SealingKey(bytes([1] * 32))]), Inline(), BOUNDS)
        with pytest.raises(UnknownSealingKeyError):
            keyring.replace(ALL, NOW)
        assert keyring.keys == ()

    def test_private_halves_that_are_past_their_time_are_forgotten(self, keyring: Keyring) -> None:
        keyring.replace(ALL, NOW)
        assert set(keyring._signers) == {CURRENT.kid, NEXT.kid}
        keyring.replace(ALL, NOW + 10000)
        assert keyring._signers == {}


class TestJwkSet:
    def test_it_has_the_next_key_the_current_one_and_those_that_still_verify(self, keyring: Keyring) -> None:
        keyring.replace([NEXT, CURRENT, FORMER], NOW)
        assert kids(keyring) == [FORMER.kid, CURRENT.kid, NEXT.kid]

    def test_it_has_public_members_only(self, keyring: Keyring) -> None:
        keyring.replace([stored(0, 5000, alg=alg) for alg in ALGORITHMS], NOW)
        members = {name for key in keyring.jwks(NOW).keys for name in key}
        assert members == {"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"}

    def test_a_key_leaves_it_at_its_end_not_before(self, keyring: Keyring) -> None:
        end = FORMER.lifetime.verify_until
        keyring.replace(ALL, end - 0.1)
        assert FORMER.kid in kids(keyring, end - 0.1)
        keyring.replace(ALL, end)
        assert FORMER.kid not in kids(keyring, end)

    def test_no_key_leaves_it_while_the_table_is_not_read(self, keyring: Keyring) -> None:
        """Somebody may have prolonged the life of a key meanwhile."""
        keyring.replace(ALL, NOW)
        assert FORMER.kid in kids(keyring, FORMER.lifetime.verify_until + 10)

    def test_no_key_leaves_it_while_the_clock_is_in_doubt(self, keyring: Keyring) -> None:
        end = FORMER.lifetime.verify_until
        keyring.replace(ALL, NOW)
        keyring.freeze(NOW)
        keyring.replace(ALL, end)
        assert FORMER.kid in kids(keyring, end)
        assert keyring.signing_key(end) == CURRENT
        keyring.thaw()
        assert FORMER.kid not in kids(keyring, end)

    @pytest.mark.parametrize("keys", [[], [replace(CURRENT, lifetime=replace(CURRENT.lifetime, revoked_at=NOW))]])
    def test_it_is_never_empty(self, keyring: Keyring, keys: list[StoredKey]) -> None:
        keyring.replace(keys, NOW)
        with pytest.raises(NoSigningKeyError):
            keyring.jwks(NOW)

    def test_before_anything_was_read_there_is_none(self, keyring: Keyring) -> None:
        with pytest.raises(NoSigningKeyError):
            keyring.jwks(NOW)

    def test_the_etag_changes_with_the_keys_and_with_nothing_else(self, keyring: Keyring) -> None:
        keyring.replace(ALL, NOW)
        first = keyring.jwks(NOW)
        other = Keyring(SEALER, Inline(), BOUNDS)
        other.replace(reversed(ALL), NOW + 100)
        assert other.jwks(NOW + 100).etag == first.etag
        assert other.jwks(NOW + 100).body == first.body
        keyring.replace(ALL, NOW + 1)
        assert keyring.jwks(NOW + 1) is first
        keyring.replace([CURRENT, NEXT], NOW + 2)
        assert keyring.jwks(NOW + 2).etag != first.etag


class TestMaxAge:
    BOUNDS = replace(BOUNDS, publish_ahead=1000, shared_cache=200)

    @pytest.fixture
    def keyring(self) -> Keyring:
        keyring = Keyring(SEALER, Inline(), self.BOUNDS)
        keyring.replace(ALL, NOW)
        return keyring

    @pytest.mark.parametrize(("later", "max_age"), [(0, 300), (470, 300), (471, 299), (600, 170), (769.5, 0)])
    def test_what_a_stale_instance_serves_leaves_caches_before_unheard_of_keys_sign(
        self, keyring: Keyring, later: float, max_age: int
    ) -> None:
        assert keyring.max_age(NOW + later) == max_age
        keyring.jwks(NOW + later)

    def test_an_instance_that_may_lack_keys_that_sign_serves_none(self, keyring: Keyring) -> None:
        with pytest.raises(NoSigningKeyError, match="not read for 770 s"):
            keyring.jwks(NOW + 770)
        keyring.replace(ALL, NOW + 770)
        assert keyring.max_age(NOW + 770) == 300
