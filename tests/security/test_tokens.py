"""J1-J7 and R15 at our own resources: a sample of what the verifier's own suite tries in full."""

import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from idp.cli.directories import Directories
from tests import builders
from tests.contract.asking import bearer, claims, header, token_of
from tests.security.forging import b64, issuers_key_of, segment, signed
from tests.service import Service

ATTACKER = rsa.generate_private_key(65537, 2048)


async def accepted(http: httpx.AsyncClient, token: str) -> bool:
    answer = await http.get("/users/me", headers=bearer(token))
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


@pytest.fixture
async def good(http: httpx.AsyncClient, directory: Directories) -> str:
    return await token_of(http, await builders.user(directory))


@pytest.fixture
async def issuers_key(service: Service, directory: Directories) -> rsa.RSAPrivateKey:
    return await issuers_key_of(service, directory)


async def test_the_method_of_these_tests(http: httpx.AsyncClient, good: str, issuers_key: rsa.RSAPrivateKey) -> None:
    """What is refused below is refused for what was changed, and not for how it was made."""
    assert await accepted(http, good)
    assert await accepted(http, signed(issuers_key, header(good), claims(good)))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None])
async def test_j1_none(http: httpx.AsyncClient, good: str, alg: str | None) -> None:
    message = f"{segment(header(good) | {'alg': alg})}.{good.split('.')[1]}"
    assert not await accepted(http, f"{message}.")
    assert not await accepted(http, f"{message}.{good.split('.')[2]}")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "RS384", "PS256", "ES256", "rs256", "EdDSA"])
async def test_j1_another_algorithm(http: httpx.AsyncClient, good: str, alg: str) -> None:
    jwk = next(
        key for key in (await http.get("/.well-known/jwks.json")).json()["keys"] if key["kid"] == header(good)["kid"]
    )
    public = RSAKey.import_key(jwk).raw_value
    assert isinstance(public, rsa.RSAPublicKey)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    secrets = [
        public.public_bytes(serialization.Encoding.PEM, form),
        public.public_bytes(serialization.Encoding.DER, form),
        public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        json.dumps(jwk).encode(),
        jwk["n"].encode(),
        b"",
    ]
    message = f"{segment(header(good) | {'alg': alg})}.{good.split('.')[1]}"
    for secret in secrets:
        digest = hmac.digest(secret, message.encode(), hashlib.sha384 if alg == "HS384" else hashlib.sha256)
        assert not await accepted(http, f"{message}.{b64(digest)}")


async def test_j2_any_change(http: httpx.AsyncClient, good: str) -> None:
    for place in range(0, len(good), 37):
        letter = "A" if good[place] != "A" else "B"
        assert not await accepted(http, good[:place] + letter + good[place + 1 :])
    for changed in (
        good + ".",
        "." + good,
        good + "A",
        good[:-1],
        good.replace(".", ".."),
        good + "=",
        good[:-4] + "====",
    ):
        assert not await accepted(http, changed)


@pytest.mark.parametrize(
    "change",
    [
        {"crit": ["b64"], "b64": True},
        {"crit": ["exp"]},
        {"crit": []},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "id+jwt"},
        {"typ": "logout+jwt"},
        {"kid": "../../etc/passwd"},
        {"kid": "' or '1'='1"},
        {"kid": ""},
        {"kid": ["a"]},
    ],
    ids=str,
)
async def test_j2_j4_j7_headers(
    http: httpx.AsyncClient, good: str, issuers_key: rsa.RSAPrivateKey, change: dict[str, Any]
) -> None:
    changed = {name: value for name, value in (header(good) | change).items() if value is not None}
    assert not await accepted(http, signed(issuers_key, changed, claims(good)))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"aud": "https://api.example.com"},
        {"aud": []},
        {"aud": None},
        {"exp": 1},
        {"exp": "9999999999"},
        {"exp": None},
        {"nbf": 9999999999},
        {"iat": 9999999999},
        {"sub": None},
        {"sub": ["a"]},
        {"client_id": None},
        {"roles": "admin"},
        {"scope": ["idp:admin"]},
    ],
    ids=str,
)
async def test_j4_claims(
    http: httpx.AsyncClient, good: str, issuers_key: rsa.RSAPrivateKey, change: dict[str, Any]
) -> None:
    changed = {name: value for name, value in (claims(good) | change).items() if value is not None}
    assert not await accepted(http, signed(issuers_key, header(good), changed))


async def test_j5_keys_in_the_header(http: httpx.AsyncClient, good: str) -> None:
    jwk = RSAKey.import_key(ATTACKER.public_key()).as_dict(private=False)
    for change in (
        {"jwk": jwk},
        {"jwk": jwk, "kid": "mine"},
        {"jku": "http://127.0.0.1:9/jwks.json", "kid": "mine"},
        {"x5u": "http://127.0.0.1:9/", "kid": "mine"},
        {"x5c": ["AAAA"], "kid": "mine"},
    ):
        assert not await accepted(http, signed(ATTACKER, header(good) | change, claims(good)))


@pytest.mark.parametrize(
    "token",
    ["a.b.c.d.e", "." * 15_000, "a" * 15_000, "e30.e30.", "{}", "\xff\xfe", "eyJhbGciOiJSUzI1NiJ9", "null", "a b"],
    ids=range(9),
)
async def test_j7_other_forms(http: httpx.AsyncClient, token: str) -> None:
    answer = await http.get("/users/me", headers=[(b"authorization", f"Bearer {token}".encode("latin-1"))])
    assert answer.status_code == 401
    assert token not in answer.text
    assert answer.headers["www-authenticate"].isascii()


async def test_r21_a_client_is_never_taken_for_a_person(
    http: httpx.AsyncClient, directory: Directories, good: str, issuers_key: rsa.RSAPrivateKey
) -> None:
    """Not even by a token of ours in which a client has a person's `sub` for its name."""
    sub = claims(good)["sub"]
    answer = await http.get(
        "/users/me", headers=bearer(signed(issuers_key, header(good), claims(good) | {"client_id": sub}))
    )
    assert answer.status_code == 403
