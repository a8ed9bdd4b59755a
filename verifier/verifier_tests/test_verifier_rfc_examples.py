"""The examples of the RFCs, as they are printed there."""

import pytest

from idp_verifier import InvalidHeader, MalformedToken, VerificationKey, parse_key
from idp_verifier.encoding import decode_base64url, parse_object
from idp_verifier.jws import parse_header, split_compact
from idp_verifier.testing import base64url

RSA_A2 = {
    "kty": "RSA",
    "n": (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
        "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
        "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
        "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    ),
    "e": "AQAB",
}
EC_A3 = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
OKP_8037_A2 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

CLAIMS = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RS256_A2 = (
    f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
    "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
    "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
    "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
ES256_A3 = (
    f"eyJhbGciOiJFUzI1NiJ9.{CLAIMS}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
EDDSA_8037_A4 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
HS256_A1 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
NONE_A5 = f"eyJhbGciOiJub25lIn0.{CLAIMS}."


def key(jwk: dict[str, str], alg: str) -> VerificationKey:
    return parse_key({"kid": "example", "alg": alg, **jwk})


@pytest.mark.parametrize(
    ("jwk", "alg", "token"),
    [(RSA_A2, "RS256", RS256_A2), (EC_A3, "ES256", ES256_A3), (OKP_8037_A2, "EdDSA", EDDSA_8037_A4)],
    ids=["RFC 7515 A.2", "RFC 7515 A.3", "RFC 8037 A.4"],
)
def test_the_signatures_of_the_examples_verify(jwk: dict[str, str], alg: str, token: str) -> None:
    signing_input, _, signature = token.encode().rpartition(b".")
    key(jwk, alg).check(decode_base64url(signature), signing_input)


def test_the_claims_of_rfc_7515_read_as_printed() -> None:
    assert parse_object(decode_base64url(CLAIMS.encode())) == {
        "iss": "joe",
        "exp": 1300819380,
        "http://example.com/is_root": True,
    }


def test_base64url_of_rfc_7515_appendix_c() -> None:
    octets = bytes([3, 236, 255, 224, 193])
    assert base64url(octets) == "A-z_4ME"
    assert decode_base64url(b"A-z_4ME") == octets


@pytest.mark.parametrize("token", [RS256_A2, ES256_A3, EDDSA_8037_A4, HS256_A1])
def test_a_token_without_kid_or_typ_is_refused_however_well_signed(token: str) -> None:
    with pytest.raises(InvalidHeader):
        parse_header(split_compact(token)[0])


def test_the_unsecured_example_of_appendix_a5_is_refused() -> None:
    with pytest.raises(MalformedToken):
        split_compact(NONE_A5)
