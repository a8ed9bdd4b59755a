"""Our tokens, verified by libraries of others as their users would: accepted where they are for, refused elsewhere."""

import asyncio
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from idp.cli.directories import Directories
from idp_verifier import VerificationError, Verifier
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import claims, token
from tests.interop import programs
from tests.service import Service

API, OTHER = "https://api.example.com", "https://other.example.com"
REFUSED = "refused"
HERE = Path(__file__).parent

Verify = Callable[[str, Sequence[str]], list[str]]
"""Gives, for an issuer and some tokens that are presented to API, whom each is of, or REFUSED."""


def with_idp_verifier(issuer: str, tokens: Sequence[str]) -> list[str]:
    with Verifier(issuer, API) as verifier:

        def subject(token: str) -> str:
            try:
                return verifier.verify_sync(token).sub
            except VerificationError:
                return REFUSED

        return list(map(subject, tokens))


def with_pyjwt(issuer: str, tokens: Sequence[str]) -> list[str]:
    keys = jwt.PyJWKClient(_metadata(issuer)["jwks_uri"])

    def subject(token: str) -> str:
        try:
            key = keys.get_signing_key_from_jwt(token)
            found = jwt.decode(token, key, algorithms=["RS256"], audience=API, issuer=issuer)
        except jwt.PyJWTError:
            return REFUSED
        return str(found["sub"])

    return list(map(subject, tokens))


def with_joserfc(issuer: str, tokens: Sequence[str]) -> list[str]:
    keys = KeySet.import_key_set(httpx.get(_metadata(issuer)["jwks_uri"]).json())
    rules = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": API},
        exp={"essential": True},
        sub={"essential": True},
    )

    def subject(token: str) -> str:
        try:
            found = joserfc_jwt.decode(token, keys, algorithms=["RS256"])
            rules.validate(found.claims)
        except JoseError:
            return REFUSED
        return str(found.claims["sub"])

    return list(map(subject, tokens))


class _Validator(JWTBearerTokenValidator):
    def get_jwks(self) -> KeySet:
        return KeySet.import_key_set(httpx.get(_metadata(self.issuer)["jwks_uri"]).json())


def with_authlib(issuer: str, tokens: Sequence[str]) -> list[str]:
    """RFC 9068 as Authlib's resource protector checks it."""
    validator = _Validator(issuer, API)

    def subject(token: str) -> str:
        try:
            found = validator.authenticate_token(token)
            validator.validate_token(found, [], None)
        except InvalidTokenError:
            return REFUSED
        return str(found["sub"])

    return list(map(subject, tokens))


def with_jose(issuer: str, tokens: Sequence[str]) -> list[str]:
    command: list[str | Path] = [node(), HERE / "verify.mjs", issuer, API]
    answer = subprocess.run(command, input="\n".join(tokens), capture_output=True, text=True, timeout=60, check=True)
    return [line if not line.startswith("refused: ERR_") else REFUSED for line in answer.stdout.splitlines()]


def node() -> Path:
    """Node, with what package-lock.json names beside this file. Skips the test where either is not to be had."""
    try:
        asyncio.run(programs.node_modules())
        return programs.found("node")
    except programs.Missing as reason:
        pytest.skip(f"Node: {reason}")


def _metadata(issuer: str) -> dict[str, Any]:
    metadata: dict[str, Any] = httpx.get(f"{issuer}/.well-known/oauth-authorization-server").json()
    return metadata


@pytest.mark.parametrize(
    "verify", [with_idp_verifier, with_pyjwt, with_joserfc, with_authlib, with_jose], ids=lambda verify: verify.__name__
)
async def test_tokens(http: httpx.AsyncClient, directory: Directories, service: Service, verify: Verify) -> None:
    grants = frozenset({"client_credentials", "password"})
    client = await builders.client(directory, grant_types=grants, audiences=(API, OTHER), scopes=("read",))
    user = await builders.user(directory, roles=("editor",))
    machine = await token(http, client)
    person = await token(http, client, grant_type="password", username=user.email, password=PASSWORD)
    both: dict[str, Any] = {"grant_type": "client_credentials", "resource": [OTHER, API]}
    for_both = (await http.post("/token", data=both, auth=client.auth)).json()["access_token"]
    assert claims(for_both)["aud"] == [OTHER, API]
    for_other = await token(http, client, resource=OTHER)
    for_issuer = await token(http, client, resource=service.url)
    head, payload, signature = machine.split(".")
    forged = f"{head}.{payload}.{signature[::-1]}"
    swapped = f"{head}.{person.split('.')[1]}.{signature}"

    tokens = [machine, person, for_both, for_other, for_issuer, forged, swapped]
    name = client.client.client_id
    expected = [name, str(user.id), name, REFUSED, REFUSED, REFUSED, REFUSED]
    assert await asyncio.to_thread(verify, service.url, tokens) == expected


def test_the_lock_names_no_registry() -> None:
    lock = (HERE / "package-lock.json").read_text()
    assert "integrity" in lock
    assert "resolved" not in lock
