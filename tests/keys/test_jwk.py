"""Keys as JWK: public members only, the thumbprint as kid (RFC 7517, RFC 7638)."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from keys.algorithms import ALGORITHMS
from keys.jwk import NotAPublicKeyError, generate, public_jwk

PAIRS = {alg: generate(alg, 2048) for alg in ALGORITHMS}
MEMBERS = {
    "RS256": {"kty", "n", "e"},
    "PS256": {"kty", "n", "e"},
    "ES256": {"kty", "crv", "x", "y"},
    "EdDSA": {"kty", "crv", "x"},
}
KINDS: dict[str, Any] = {"RS256": RSAKey, "PS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}
# RFC 7638 §3.1, its key and its thumbprint.
RFC_7638_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"  # noqa: E501
    "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR"
    "L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
}
RFC_7638_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("alg", ALGORITHMS)
class TestGenerated:
    def test_only_public_members_are_published(self, alg: str) -> None:
        assert set(PAIRS[alg].public_jwk) == MEMBERS[alg] | {"kid", "use", "alg"}
        assert PAIRS[alg].public_jwk["use"] == "sig"
        assert PAIRS[alg].public_jwk["alg"] == alg

    def test_the_kid_is_the_thumbprint(self, alg: str) -> None:
        jwk = PAIRS[alg].public_jwk
        assert PAIRS[alg].kid == jwk["kid"] == KINDS[alg].import_key({**jwk}).thumbprint()

    def test_the_private_half_is_not_shown(self, alg: str) -> None:
        assert "private" not in repr(PAIRS[alg])


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_keys_are_as_long_as_asked(bits: int) -> None:
    assert RSAKey.import_key({**generate("RS256", bits).public_jwk}).raw_value.key_size == bits


class TestImported:
    def test_a_kid_stays_because_tokens_name_it(self) -> None:
        assert public_jwk({**RFC_7638_KEY, "alg": "RS256", "kid": "2011-04-29"})["kid"] == "2011-04-29"

    def test_without_a_kid_it_gets_its_thumbprint(self) -> None:
        assert public_jwk({**RFC_7638_KEY, "alg": "RS256"})["kid"] == RFC_7638_THUMBPRINT

    def test_other_members_are_dropped(self) -> None:
        jwk = public_jwk({**RFC_7638_KEY, "alg": "RS256", "x5c": ["..."], "key_ops": ["verify"], "use": "sig"})
        assert set(jwk) == MEMBERS["RS256"] | {"kid", "use", "alg"}

    @pytest.mark.parametrize(
        "private",
        [RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")],
        ids=lambda key: str(key.key_type),
    )
    def test_a_private_key_is_refused(self, private: RSAKey | ECKey | OKPKey) -> None:
        alg = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[private.key_type]
        with pytest.raises(NotAPublicKeyError, match="private"):
            public_jwk({**private.as_dict(private=True), "alg": alg})

    @pytest.mark.parametrize(
        "jwk",
        [
            {},
            {"kty": "RSA"},
            RFC_7638_KEY,  # without alg: whether PS256 or RS256 would be a guess
            {**RFC_7638_KEY, "alg": "RS384"},
            {**RFC_7638_KEY, "alg": "none"},
            {**RFC_7638_KEY, "alg": "ES256"},
            {**RFC_7638_KEY, "alg": "RS256", "n": "%"},
            {**RFC_7638_KEY, "alg": "RS256", "n": None},
            {**RFC_7638_KEY, "alg": "RS256", "n": 5},
            {**RFC_7638_KEY, "alg": ["RS256"]},
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"},
            {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "alg": "ES256"},
            {"kty": "OKP", "crv": "X25519", "x": "AA", "alg": "EdDSA"},
            {**OctKey.generate_key(256).as_dict(private=True), "alg": "HS256"},
            {**OctKey.generate_key(256).as_dict(private=True), "alg": "RS256"},
        ],
    )
    def test_what_is_no_public_key_of_ours_is_refused(self, jwk: dict[str, Any]) -> None:
        with pytest.raises(NotAPublicKeyError):
            public_jwk(jwk)

    def test_a_curve_that_the_algorithm_does_not_have_is_refused(self) -> None:
        jwk = ECKey.generate_key("P-384").as_dict(private=False)
        with pytest.raises(NotAPublicKeyError):
            public_jwk({**jwk, "alg": "ES256"})
        x25519 = OKPKey.generate_key("X25519").as_dict(private=False)
        with pytest.raises(NotAPublicKeyError):
            public_jwk({**x25519, "alg": "EdDSA"})

    @pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
    def test_a_short_rsa_key_is_refused(self) -> None:
        modulus = urlsafe_b64encode((1 << 1023 | 1).to_bytes(128)).decode().rstrip("=")
        with pytest.raises(NotAPublicKeyError, match="2048"):
            public_jwk({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256"})
