"""What a good token says, and what is refused whoever signed it: J4."""

import json
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from verifier_tests.signed import AUDIENCE, ES256, ISSUER, NOW, SIGNERS, claims, verify

from idp_verifier import (
    ExpiredToken,
    InvalidClaims,
    KeySet,
    MalformedToken,
    NotYetValid,
    VerificationError,
    WrongAudience,
    WrongIssuer,
    WrongType,
    prepare_key,
    verify_token,
)

# What is accepted


@pytest.mark.parametrize("alg", SIGNERS)
@pytest.mark.usefixtures("either_parser")
def test_a_good_token_gives_its_claims(alg: str) -> None:
    token = SIGNERS[alg].sign(
        claims(scope="read write", roles=["admin", "auditor"], username="ana", nbf=NOW, amr=["pwd"])
    )
    for form in (token, token.encode()):
        verified = verify(form)
        assert verified.sub == verified["sub"] == "8f14e45f-ceea-467f-ab5c-1b3b2f3e1a11"
        assert verified.issuer == ISSUER
        assert verified.client_id == "web"
        assert verified.audience == (AUDIENCE,)
        assert verified.scopes == {"read", "write"}
        assert verified.roles == ("admin", "auditor")
        assert verified.username == "ana"
        assert (verified.iat, verified.exp) == (NOW, NOW + 900)
        assert verified.jti


def test_a_token_of_another_library_is_accepted() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    token = pyjwt.encode(claims(), private, "ES256", {"kid": "k", "typ": "at+jwt"})
    keys = KeySet([prepare_key("k", "ES256", private.public_key())])
    assert verify_token(token, keys, issuer=ISSUER, audience={AUDIENCE, "other"}, now=NOW).client_id == "web"


def test_what_a_token_does_not_say_is_empty() -> None:
    verified = verify(ES256.sign(claims()))
    assert verified.scopes == frozenset()
    assert verified.roles == ()
    assert verified.username is None
    assert verify(ES256.sign(claims(scope=""))).scopes == frozenset()


def test_claims_are_immutable_and_hand_out_copies() -> None:
    verified = verify(ES256.sign(claims(roles=["user"], extra={"a": [1]})))
    verified["roles"].append("admin")
    verified["extra"]["a"].append(2)
    assert verified.roles == ("user",)
    assert verified["extra"] == {"a": [1]}
    assert json.loads(json.dumps(dict(verified))) == dict(verified)
    with pytest.raises(TypeError):
        verified["sub"] = "someone"  # type: ignore[index]


def test_the_representation_of_claims_does_not_show_them_all() -> None:
    assert "jti" not in repr(verify(ES256.sign(claims())))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_the_type_is_a_media_type(typ: str) -> None:
    assert verify(ES256.sign(claims(), typ=typ))


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["https://other.example.com", AUDIENCE]])
def test_an_audience_is_a_string_or_an_array(aud: object) -> None:
    assert AUDIENCE in verify(ES256.sign(claims(aud=aud))).audience


# J4: another issuer, audience, time or type


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "logout+jwt", "id_token+jwt", "at+jwt ", "application/application/at+jwt", ""]
)
def test_j4_a_token_of_another_type_is_refused(typ: str) -> None:
    with pytest.raises(WrongType):
        verify(ES256.sign(claims(), typ=typ))


def test_j4_an_access_token_is_no_id_token() -> None:
    with pytest.raises(WrongType):
        verify(ES256.sign(claims()), typ="jwt")
    assert verify(ES256.sign(claims(client_id=...), typ="JWT"), typ="jwt").client_id == ""


@pytest.mark.parametrize("iss", [ISSUER + "/", ISSUER.upper(), "https://evil.example.com", ISSUER + "\0"])
def test_j4_another_issuer_is_refused(iss: str) -> None:
    with pytest.raises(WrongIssuer):
        verify(ES256.sign(claims(iss=iss)))


@pytest.mark.parametrize("aud", ["https://api.example.com/", "https://api.example.co", [], ["https://a.example.com"]])
def test_j4_r15_a_token_for_another_audience_is_refused(aud: object) -> None:
    with pytest.raises(WrongAudience):
        verify(ES256.sign(claims(aud=aud)))


def test_j4_expiry_counts_to_the_second_with_the_leeway() -> None:
    token = ES256.sign(claims(exp=NOW))
    assert verify(token, now=NOW + 29.9)
    with pytest.raises(ExpiredToken):
        verify(token, now=NOW + 30)
    with pytest.raises(ExpiredToken):
        verify(token, leeway=0)


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_j4_a_token_from_the_future_is_refused(name: str) -> None:
    token = ES256.sign(claims(**{name: NOW + 30}))
    assert verify(token)
    with pytest.raises(NotYetValid):
        verify(token, now=NOW - 1)


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"])
def test_j4_each_claim_that_rfc_9068_requires_is_required(name: str) -> None:
    with pytest.raises(InvalidClaims, match=name):
        verify(ES256.sign(claims(**{name: ...})))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize("value", [True, False, None, "1900000000", [], {}, -1, 10**12, 1e300, 10**400], ids=repr)
@pytest.mark.usefixtures("either_parser")
def test_j4_instants_are_sane_numbers(name: str, value: object) -> None:
    with pytest.raises((InvalidClaims, MalformedToken)):
        verify(ES256.sign(claims(**{name: value})))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, "0x7fffffff", "01"])
@pytest.mark.usefixtures("either_parser")
def test_j4_numbers_that_are_not_finite_json_are_refused(number: str) -> None:
    payload = json.dumps(claims(exp=777)).replace("777", number).encode()
    with pytest.raises(VerificationError) as refusal:
        verify(ES256.sign(payload))
    assert refusal.type in {MalformedToken, InvalidClaims}


def test_a_fractional_instant_is_accepted() -> None:
    assert verify(ES256.sign(claims(iat=NOW - 0.5, exp=NOW + 0.5)), leeway=0).exp == NOW + 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": 7},
        {"sub": ""},
        {"sub": ["a"]},
        {"client_id": None},
        {"jti": 1},
        {"iss": [ISSUER]},
        {"aud": {AUDIENCE: 1}},
        {"aud": [AUDIENCE, 1]},
        {"aud": [[AUDIENCE]]},
        {"aud": ""},
        {"scope": ["read"]},
        {"scope": None},
        {"roles": "admin"},
        {"roles": {"admin": True}},
        {"roles": [["admin"]]},
        {"amr": "pwd"},
        {"username": 1},
    ],
    ids=str,
)
def test_j4_a_claim_of_the_wrong_type_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidClaims):
        verify(ES256.sign(claims(**changes)))
