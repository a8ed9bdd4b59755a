"""Proofs of possession: RFC 9449 §4.3, one deviation at a time; and §7, tokens that need them."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp_verifier import ProofRequired, Verifier
from idp_verifier.dpop import DpopProof, SeenProofs, VerifiedProof, bound_key, verify_proof
from idp_verifier.errors import InvalidProof, ReplayedProof, TooManyProofs, UnboundToken, UnsupportedConfirmation
from idp_verifier.jwk import SUPPORTED_ALGORITHMS, thumbprint
from idp_verifier.testing import LocalIssuer, Signer, base64url

NOW = 1_800_000_000
TLS = ssl.create_default_context()  # dear to make, and the same for all
URI = "https://api.example.com/things"
TOKEN = "header.payload.signature"
ATH = "JW0E205eSsMIdR7QiFtyK3WGMFZ8U6cSXtn70Gjlw_Y"
KEYS = {alg: Signer.generate(alg) for alg in SUPPORTED_ALGORITHMS}
KEY = KEYS["ES256"]

# The examples as they are printed in RFC 9449
SERVER_KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs"
    "cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2"
    "In19"
)
AT_THE_TOKEN_ENDPOINT = (
    f"{HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2"
    "VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3"
    "Lg"
)
AT_THE_RESOURCE = (
    f"{HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm"
    "90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFby"
    "J9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)


def public_jwk(signer: Signer) -> dict[str, str]:
    return {name: value for name, value in signer.jwk.items() if name not in {"kid", "alg", "use"}}


def signed(signer: Signer = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A proof for a GET of URI with TOKEN; `...` omits a claim."""
    claims = {"jti": "1", "htm": "GET", "htu": URI, "iat": NOW, "ath": ATH, **changes}
    claims = {name: value for name, value in claims.items() if value is not ...}
    return signer.sign(claims, **{"typ": "dpop+jwt", "kid": None, "jwk": public_jwk(signer), **(header or {})})


def verify(jwt: str, *, method: str = "GET", uri: str = URI, token: str | None = TOKEN) -> VerifiedProof:
    return verify_proof(DpopProof(method, uri, jwt), now=NOW, access_token=token)


# What is accepted


def test_the_examples_of_rfc_9449_verify() -> None:
    proof = DpopProof("POST", "https://server.example.com/token", AT_THE_TOKEN_ENDPOINT)
    verified = verify_proof(proof, now=1562262616)
    assert verified == VerifiedProof(SERVER_KEY, "-BwC3ESc6acc2lTc", 1562262616, None)

    proof = DpopProof("GET", "https://resource.example.org/protectedresource", AT_THE_RESOURCE)
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    assert verify_proof(proof, now=1562262618, access_token=token).jkt == SERVER_KEY


def test_the_thumbprint_of_rfc_7638() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("alg", KEYS)
def test_a_proof_names_the_key_that_made_it(alg: str) -> None:
    verified = verify(signed(KEYS[alg], nonce="n-1"))
    assert verified == VerifiedProof(thumbprint(KEYS[alg].jwk), "1", NOW, "n-1")


def test_a_token_endpoint_needs_no_access_token() -> None:
    assert verify(signed(ath=...), token=None).nonce is None
    verify(signed(), token=None)


@pytest.mark.parametrize(
    ("asked", "proved"),
    [
        (URI + "?page=2", URI),
        (URI, URI + "?page=2#top"),
        (URI, "HTTPS://API.example.COM:443/things"),
        ("https://api.example.com", "https://api.example.com/"),
        ("http://127.0.0.1:80/a", "http://127.0.0.1/a"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a?b"),
        ("https://api.example.com/a%2fb/%7eana", "https://api.example.com/a%2Fb/~ana"),
        ("https://api.example.com/b", "https://api.example.com/a/../b"),
        ("https://api.example.com/a/", "https://api.example.com/a/b/.."),
        ("https://api.example.com/a/", "https://api.example.com/../a/."),
    ],
)
def test_uris_are_compared_normalised_without_query_and_fragment(asked: str, proved: str) -> None:
    verify(signed(htu=proved), uri=asked)


@pytest.mark.parametrize("age", [-60, 0, 60])
def test_the_window_holds_in_both_directions(age: int) -> None:
    assert verify(signed(iat=NOW - age)).iat == NOW - age


# What is refused


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "POST"},
        {"htm": "get"},
        {"htm": ...},
        {"htm": ["GET"]},
        {"htu": "https://api.example.com/thing"},
        {"htu": "https://api.example.com/things/"},
        {"htu": "https://api.example.com/THINGS"},
        {"htu": "https://api.example.com//things"},
        {"htu": "http://api.example.com/things"},
        {"htu": "https://api.example.com:444/things"},
        {"htu": "https://api.example.com.evil.com/things"},
        {"htu": "https://evil.com@api.example.com/things"},
        {"htu": "https://api.example.com/thi\nngs"},
        {"htu": " https://api.example.com/things"},
        {"htu": "/things"},
        {"htu": "https://api.example.com:x/things"},
        {"htu": "https://[api.example.com/things"},
        {"htu": ""},
        {"htu": None},
        {"htu": ...},
        {"ath": ...},
        {"ath": ATH + "="},
        {"ath": base64url(b"\0" * 32)},
        {"ath": [ATH]},
        {"jti": ...},
        {"jti": ""},
        {"jti": 7},
        {"iat": ...},
        {"iat": True},
        {"iat": str(NOW)},
        {"iat": NOW - 61},
        {"iat": NOW + 61},
        {"iat": 1e300},
        {"nonce": 7},
    ],
    ids=str,
)
def test_a_proof_of_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidProof) as refusal:
        verify(signed(**changes))
    assert '"' not in str(refusal.value)


OTHER = Signer.generate("ES256")


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "at+jwt"},
        {"typ": "JWT"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"alg": "EdDSA"},
        {"alg": None},
        {"jwk": None},
        {"jwk": "x"},
        {"jwk": public_jwk(OTHER)},
        {"jwk": {**public_jwk(KEY), "d": "AA"}},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"jwk": {**public_jwk(KEY), "use": "enc"}},
        {"jwk": {**public_jwk(KEY), "alg": "ES384"}},
        {"jwk": {**public_jwk(KEY), "crv": "P-384"}},
        {"jwk": public_jwk(KEYS["RS256"])},
        {"crit": ["exp"]},
        {"zip": "DEF"},
    ],
    ids=" ".join,
)
def test_a_header_that_is_not_that_of_a_proof_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(InvalidProof):
        verify(signed(header=header))


def test_an_access_token_is_no_proof_and_a_proof_is_signed() -> None:
    head, _, _ = signed().rpartition(".")
    for jwt in (KEY.sign({}), head, head + ".", head + ".AA", "", "a.b.c", "A" * 20_000, "é"):
        with pytest.raises(InvalidProof):
            verify(jwt)


def test_no_byte_of_a_proof_can_be_changed() -> None:
    jwt = signed()
    verify(jwt)
    for position, original in enumerate(jwt):
        with pytest.raises(InvalidProof):
            verify(jwt[:position] + chr(ord(original) ^ 1) + jwt[position + 1 :])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
@given(
    st.dictionaries(st.sampled_from(["htm", "htu", "iat", "jti", "ath", "nonce"]), JSON, max_size=2),
    st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "crit", "x"]), JSON, max_size=2),
    st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "use", "d"]), JSON, max_size=2),
)
def test_only_invalid_proof_is_raised(changes: dict[str, Any], header: dict[str, Any], jwk: dict[str, Any]) -> None:
    with suppress(InvalidProof):
        verify(signed(header={"jwk": {**public_jwk(KEY), **jwk}, **header}, **changes))


# The binding of a token


def test_cnf_names_the_key() -> None:
    assert bound_key({}) is None
    assert bound_key({"cnf": {"jkt": SERVER_KEY}}) == SERVER_KEY


@pytest.mark.parametrize(
    "cnf",
    [
        {},
        None,
        [],
        "x",
        {"x5t#S256": SERVER_KEY},
        {"jkt": SERVER_KEY, "x5t#S256": SERVER_KEY},
        {"jkt": SERVER_KEY + "A"},
        {"jkt": ""},
        {"jkt": None},
        {"jwk": public_jwk(KEY)},
    ],
    ids=["none", "null", "array", "text", "certificate", "both", "longer", "empty", "no thumbprint", "key"],
)
def test_any_other_confirmation_is_refused(cnf: object) -> None:
    with pytest.raises(UnsupportedConfirmation):
        bound_key({"cnf": cnf})


# Replays


def proof(jti: str, *, jkt: str = SERVER_KEY, iat: float = NOW) -> VerifiedProof:
    return VerifiedProof(jkt, jti, iat, None)


def test_a_proof_is_used_once_for_as_long_as_it_could_be_used() -> None:
    seen = SeenProofs()
    seen.add(proof("1"), now=NOW)
    seen.add(proof("1", jkt="another"), now=NOW)
    seen.add(proof("2"), now=NOW)
    for now in (NOW, NOW + 60):
        with pytest.raises(ReplayedProof):
            seen.add(proof("1"), now=now)


def test_what_can_be_used_no_more_is_forgotten() -> None:
    seen = SeenProofs()
    for second in range(1_000):
        seen.add(proof(str(second), iat=NOW + second), now=NOW + second)
    assert len(seen) == 61


def test_a_flood_is_refused_rather_than_forgotten() -> None:
    seen = SeenProofs(capacity=10)
    for number in range(10):
        seen.add(proof(str(number)), now=NOW)
    with pytest.raises(TooManyProofs):
        seen.add(proof("10"), now=NOW)
    with pytest.raises(ReplayedProof):
        seen.add(proof("0"), now=NOW)
    seen.add(proof("11", iat=NOW + 61), now=NOW + 61)
    assert len(seen) == 1


# At a resource


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256", clock=lambda: NOW) as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer: LocalIssuer) -> Iterator[Verifier]:
    with Verifier(issuer.url, "https://api.example.com", clock=lambda: NOW, tls=TLS) as verifier:
        yield verifier


def bound_token(issuer: LocalIssuer, signer: Signer = KEY) -> str:
    return issuer.token(cnf={"jkt": thumbprint(signer.jwk)})


def proof_for(token: str, signer: Signer = KEY, **changes: Any) -> DpopProof:
    ath = base64url(sha256(token.encode()).digest())
    return DpopProof("GET", URI + "?page=2", signed(signer, **{"ath": ath, **changes}))


async def test_a_bound_token_is_accepted_with_a_proof_only(issuer: LocalIssuer, verifier: Verifier) -> None:
    token = bound_token(issuer)
    for attempt in range(3):  # when it is new, and when it is known
        with pytest.raises(ProofRequired):
            await verifier.verify(token)
        with pytest.raises(ProofRequired):
            verifier.verify_sync(token)
        claims = await verifier.verify(token, proof_for(token, jti=f"a{attempt}"))
        assert verifier.verify_sync(token, proof_for(token, jti=f"b{attempt}")) is claims


async def test_a_proof_is_good_for_one_request(issuer: LocalIssuer, verifier: Verifier) -> None:
    token = bound_token(issuer)
    proof = proof_for(token)
    await verifier.verify(token, proof)
    for _ in range(2):
        with pytest.raises(ReplayedProof):
            await verifier.verify(token, proof)


async def test_a_stolen_token_is_of_no_use_with_another_key(issuer: LocalIssuer, verifier: Verifier) -> None:
    token = bound_token(issuer)
    for thief in (OTHER, KEYS["RS256"]):
        with pytest.raises(InvalidProof, match="not bound"):
            await verifier.verify(token, proof_for(token, thief))
    assert len(verifier._seen) == 0


async def test_a_proof_for_another_token_of_the_same_key_is_refused(issuer: LocalIssuer, verifier: Verifier) -> None:
    token, another = bound_token(issuer), bound_token(issuer)
    with pytest.raises(InvalidProof, match="another access token"):
        await verifier.verify(token, proof_for(another))


async def test_a_proof_does_not_go_with_a_bearer_token(issuer: LocalIssuer, verifier: Verifier) -> None:
    token = issuer.token()
    await verifier.verify(token)
    with pytest.raises(UnboundToken):
        await verifier.verify(token, proof_for(token))


async def test_a_token_bound_in_another_way_is_refused(issuer: LocalIssuer, verifier: Verifier) -> None:
    others: list[object] = [{"x5t#S256": SERVER_KEY}, {"jkt": thumbprint(KEY.jwk), "x5t#S256": SERVER_KEY}, {}, []]
    for cnf in others:
        token = issuer.token(cnf=cnf)
        for proof in (None, proof_for(token)):
            with pytest.raises(UnsupportedConfirmation):
                await verifier.verify(token, proof)
