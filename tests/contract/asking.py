"""Asks the service for tokens, and reads them as anybody could."""

import base64
import json
from typing import Any

import httpx

from idp.cli.directories import Directories
from idp.protocol.user import User
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient

NO_TOKEN = 'Bearer realm="idp", DPoP algs="RS256 PS256 ES256 EdDSA"'
"""The challenge for a request without a token."""
ADMIN_CLIENT = {
    "scopes": ("idp:admin", "read"),
    "grant_types": frozenset({"client_credentials", "password"}),
}


async def token(http: httpx.AsyncClient, client: ConfidentialClient, **form: str) -> str:
    """An access token of the client's own, unless `form` says otherwise."""
    answer = await http.post("/token", data={"grant_type": "client_credentials"} | form, auth=client.auth)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def token_of(http: httpx.AsyncClient, user: User, **form: str) -> str:
    """A person's everyday token, from the default client."""
    answer = await http.post("/token", data={"username": user.email, "password": PASSWORD} | form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def admin_token(http: httpx.AsyncClient, directory: Directories) -> str:
    """A client's token for the admin API."""
    return await token(http, await builders.client(directory, **ADMIN_CLIENT), scope="idp:admin")


async def admin_token_of(http: httpx.AsyncClient, directory: Directories, administrator: User) -> str:
    """An administrator's token for the admin API."""
    client = await builders.client(directory, **ADMIN_CLIENT)
    form = {"grant_type": "password", "username": administrator.email, "password": PASSWORD}
    return await token(http, client, scope="idp:admin", **form)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def header(token: str) -> dict[str, Any]:
    return _segment(token, 0)


def claims(token: str) -> dict[str, Any]:
    return _segment(token, 1)


def _segment(token: str, index: int) -> dict[str, Any]:
    segment = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return decoded
