"""Attacks on JWTs that prove clients, or stand for them: what worked elsewhere, tried at every place that takes one."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from idp_verifier.testing import LocalIssuer, Signer
from tests.asserting import KeyedClient, Workload, keyed_client
from tests.contract.test_jwt_bearer import workload
from tests.service import Service

Target = tuple[KeyedClient | Workload, Signer]
"""Somebody whose JWTs are accepted, and their key."""


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_of(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A compact JWS of whatever is said."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{base64url(sign(signed.encode()))}"


def public_renderings(signer: Signer) -> Iterator[bytes]:
    """The public key in every form in which a library may have taken it for a secret."""
    key = signer.public_key
    yield key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip()
    yield key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    yield json.dumps(dict(signer.jwk)).encode()
    yield json.dumps(dict(signer.jwk), separators=(",", ":")).encode()
    yield signer.jwk["n"].encode()
    yield b""


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.generate("RS256")


@pytest.fixture(params=["client assertion", "outside token"])
async def target(request: pytest.FixtureRequest, service: Service, directory: Directories, signer: Signer) -> Target:
    if request.param == "client assertion":
        return await keyed_client(directory, service.url, signer), signer
    return await workload(directory, service.url, signer=signer), signer


async def assert_refused(http: httpx.AsyncClient, target: Target, token: str) -> None:
    answer = await http.post("/token", data=target[0].form(token))
    assert (answer.status_code, answer.json()["error"]) in ((401, "invalid_client"), (400, "invalid_grant")), (
        answer.text
    )


async def test_the_public_key_is_no_secret(http: httpx.AsyncClient, target: Target) -> None:
    """J1, as PyJWT CVE-2022-29217: HMAC with what everybody knows."""
    party, signer = target
    for alg, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        for secret in public_renderings(signer):
            token = token_of(
                {"alg": alg, "kid": signer.kid},
                party.claims(),
                lambda data, secret=secret, digest=digest: hmac.new(secret, data, digest).digest(),  # type: ignore[misc]
            )
            await assert_refused(http, target, token)


async def test_the_algorithm_is_that_of_the_key(http: httpx.AsyncClient, target: Target) -> None:
    """J1, as Authlib CVE-2026-28802: `none` in every letter case, and what else the key is not for."""
    party, signer = target
    for alg in ("none", "None", "NONE", "nOnE", "", None, 7, "RS512", "ES256", "PS256", "rs256"):
        for sign in (signer.sign_octets, lambda _: b"", lambda _: b"x"):
            header = {"alg": alg, "kid": signer.kid}
            await assert_refused(http, target, token_of(header, party.claims(), sign))


async def test_a_key_in_the_header_is_not_looked_at(http: httpx.AsyncClient, target: Target) -> None:
    """J5: nor is a place from which to fetch one."""
    party, _ = target
    with LocalIssuer("RS256") as evil:
        own = evil.signer
        for header in (
            {"jwk": dict(own.jwk)},
            {"jwk": dict(own.jwk), "kid": None},
            {"jku": f"{evil.url}/jwks.json"},
            {"x5u": f"{evil.url}/cert.pem", "kid": None},
            {"kid": f"{evil.url}/jwks.json"},
            {"kid": "../../../../dev/null"},
            {"kid": "' or 1=1 --"},
        ):
            await assert_refused(http, target, own.sign(party.claims(), **{"typ": None, **header}))
        assert evil.requests == []


async def test_extensions_are_refused(http: httpx.AsyncClient, target: Target) -> None:
    """J2, J7: what is not understood is not ignored. The signature is good."""
    party, signer = target
    extensions: list[dict[str, Any]] = [
        *({"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": ["kid"]}),
        *({"b64": False}, {"zip": "DEF"}, {"enc": "A256GCM"}),
    ]
    for header in extensions:
        await assert_refused(http, target, signer.sign(party.claims(), typ=None, **header))


async def test_two_readings_of_one_text(http: httpx.AsyncClient, target: Target) -> None:
    """RFC 8725 §2.4: a name that comes twice, NaN, and text that is none. The signature is good."""
    party, signer = target
    good = json.dumps(party.claims())
    for payload in (
        f"{good[:-1]}, {good[1:]}",
        good.replace('"exp": ', '"exp": NaN, "x": '),
        good.replace('"exp": ', '"exp": Infinity, "x": '),
        good.replace('"sub": "', '"sub": "\\ud800'),
        f"[{good}]",
        '{"a":' * 2_000,
        "",
    ):
        await assert_refused(http, target, signer.sign(payload.encode(), typ=None))


async def test_anothers_key_of_the_same_name(
    http: httpx.AsyncClient, service: Service, directory: Directories, target: Target
) -> None:
    """Keys are those of who is named, and of nobody else."""
    party, signer = target
    other = await keyed_client(directory, service.url, Signer.generate("RS256", signer.kid))
    await assert_refused(http, target, other.signer.sign(party.claims(), typ=None))


async def test_no_secret_is_left_when_a_client_turns_to_keys(directory: Directories, service: Service) -> None:
    """A secret from before must not come back to life when the method is changed again."""
    keyed = await keyed_client(directory, service.url, token_endpoint_auth_method="client_secret_basic")
    store = directory.store.clients
    before = await store.find(keyed.client.client_id)
    assert before
    assert before.secrets
    await directory.clients.update(replace(before, token_endpoint_auth_method="private_key_jwt"), OPERATOR)
    after = await store.find(keyed.client.client_id)
    assert after
    assert after.secrets == ()
