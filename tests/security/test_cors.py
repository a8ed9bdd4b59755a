"""R19: public documents are for pages of every origin, tokens for those of registered ones, the rest for none."""

import httpx
import pytest

from idp.cli.directories import Directories
from tests import builders
from tests.service import Service

ORIGIN = "https://app.example.com"
PUBLIC = [
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
]
REGISTERED = ["/token", "/users/me"]
NOBODYS = ["/users", "/admin/users", "/admin/clients", "/admin/keys", "/admin/audit", "/admin/dashboard", "/metrics"]
STRANGERS = [
    "https://evil.example.com",
    "null",
    "https://app.example.com.evil.example.com",
    "https://app.example.com:444",
    "http://app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "*",
    "",
    "https://app.example.com, https://evil.example.com",
]


@pytest.fixture
async def registered(directory: Directories) -> None:
    await builders.client(directory, origins=(ORIGIN,))


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,dpop",
    }


def assert_closed(answer: httpx.Response) -> None:
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", PUBLIC)
async def test_public_documents(http: httpx.AsyncClient, path: str) -> None:
    for answer in (
        await http.get(path, headers={"Origin": "https://anybody.example.com"}),
        await http.options(path, headers=preflight("null")),
    ):
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("path", REGISTERED)
async def test_registered_origins(http: httpx.AsyncClient, path: str) -> None:
    asked = await http.options(path, headers=preflight(ORIGIN))
    assert asked.status_code == 204
    assert {"authorization", "content-type", "dpop"} <= set(
        asked.headers["access-control-allow-headers"].lower().split(", ")
    )
    answered = await http.post(path, headers={"Origin": ORIGIN})
    for answer in (asked, answered):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"].split(", ")
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("path", REGISTERED)
@pytest.mark.parametrize("origin", STRANGERS)
async def test_other_origins(http: httpx.AsyncClient, path: str, origin: str) -> None:
    assert_closed(await http.options(path, headers=preflight(origin)))
    assert_closed(await http.post(path, headers={"Origin": origin}))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("path", NOBODYS)
async def test_what_is_for_no_page(http: httpx.AsyncClient, path: str) -> None:
    assert_closed(await http.options(path, headers=preflight(ORIGIN)))
    assert_closed(await http.get(path, headers={"Origin": ORIGIN}))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    "path", ["/token/", "//token", "/.well-known/../admin/users", "/.well-known%2f..%2fadmin/users", "/Token"]
)
async def test_paths_that_look_like_others(http: httpx.AsyncClient, service: Service, path: str) -> None:
    answer = await http.get(service.url + path, headers={"Origin": ORIGIN})
    assert answer.headers.get("access-control-allow-origin") in (None, "*")
    assert not answer.is_success
