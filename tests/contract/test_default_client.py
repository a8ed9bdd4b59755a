"""The default client: what was made for FastAPI's `OAuth2PasswordRequestForm` works unchanged."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from idp.cli.directories import Directories, directories
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import claims
from tests.service import DEFAULT_CLIENT, Service, running, settings_for

NOBODY = base64.b64encode(b":").decode()
FORMS = {
    "username and password alone": {},
    "grant_type": {"grant_type": "password"},
    "OAuth2PasswordRequestForm": {"grant_type": "password", "scope": "", "client_id": "", "client_secret": ""},
    "grant_type empty": {"grant_type": "", "scope": ""},
    "named": {"grant_type": "password", "client_id": DEFAULT_CLIENT},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Basic {NOBODY}"}], ids=["", "Swagger UI"])
async def test_password_without_client(
    http: httpx.AsyncClient, directory: Directories, form: dict[str, str], headers: dict[str, str]
) -> None:
    user = await builders.user(directory)
    data = {"username": user.username or "", "password": PASSWORD} | form
    answer = await http.post("/token", data=data, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}  # no refresh token
    assert claims(answer.json()["access_token"])["client_id"] == DEFAULT_CLIENT


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "client_credentials"},
        {"grant_type": "client_credentials", "username": "a", "password": "b"},
        {"grant_type": "made_up", "username": "a", "password": "b"},
        {"password": "b"},
        {"username": "a", "password": "b", "client_secret": "c"},
    ],
)
async def test_nothing_else_counts_as_the_default_client(http: httpx.AsyncClient, form: dict[str, str]) -> None:
    answer = await http.post("/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_another_client_is_not_replaced(http: httpx.AsyncClient, directory: Directories) -> None:
    client = await builders.client(directory)
    user = await builders.user(directory)
    answer = await http.post("/token", data={"username": user.email, "password": PASSWORD}, auth=client.auth)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@asynccontextmanager
async def _default(database: str, client: Client | None) -> AsyncIterator[tuple[Service, Directories]]:
    """A service whose default client is this one, or that has none."""
    settings = settings_for(database, default_client_id=client.client_id if client else None)
    with running(settings) as service:
        async with directories(service.settings) as directory:
            if client:
                await directory.clients.add(client, None, OPERATOR)
            yield service, directory


async def test_not_when_unset(database: str) -> None:
    async with _default(database, None) as (service, directory), httpx.AsyncClient(base_url=service.url) as http:
        user = await builders.user(directory)
        answer = await http.post("/token", data={"username": user.email, "password": PASSWORD})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_it_never_administrates(database: str) -> None:
    """However it was registered, it has no `idp:admin` and no other grant."""
    client = Client("careless", "careless", "none", frozenset({"password", "refresh_token"}), ("read", "idp:admin"))
    async with _default(database, client) as (service, directory), httpx.AsyncClient(base_url=service.url) as http:
        user = await builders.user(directory, roles=("admin",))
        form = {"username": user.email, "password": PASSWORD}
        granted = (await http.post("/token", data=form)).json()
        assert granted["scope"] == "read"
        assert "refresh_token" not in granted
        for named in ({}, {"client_id": "careless", "grant_type": "password"}):
            refused = await http.post("/token", data=form | named | {"scope": "idp:admin"})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
