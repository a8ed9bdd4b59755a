"""The example trusts a real issuer by its published keys alone, and a browser at the example can get tokens."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.examples.programs import DevelopmentIssuer, development_issuer, resource_service

ORIGIN = "http://localhost:9000"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class World:
    """Both programs, a person without roles, and the two clients of the README."""

    issuer: DevelopmentIssuer
    example: str
    person: dict[str, Any]
    machine_secret: str = field(repr=False)

    def token(self, username: str, password: str, **changes: str) -> str:
        """A person's token, by way of the client `swagger`."""
        form = {"grant_type": "password", "client_id": "swagger", "username": username, "password": password}
        return self._token(form | changes, None)

    def machine_token(self) -> str:
        """A client's own token."""
        return self._token({"grant_type": "client_credentials"}, ("machine", self.machine_secret))

    def _token(self, form: dict[str, str], auth: tuple[str, str] | None) -> str:
        answer = httpx.post(f"{self.issuer.url}/token", data=form, auth=auth)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        """An answer of the example."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(self.example + path, headers=headers)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with development_issuer() as issuer:
        swagger = ("--public", "--grant", "password", "--origin", ORIGIN, "--audience", ORIGIN)
        issuer.idp("clients", "add", "swagger", *swagger)
        machine = issuer.idp("clients", "add", "machine", "--audience", ORIGIN, "--scope", "read")
        person = issuer.idp("users", "add", "ann@example.com", "--username", "ann", "--password-stdin", stdin=PASSWORD)
        with resource_service({"ISSUER": issuer.url, "AUDIENCE": ORIGIN}) as example:
            yield World(issuer, example, person, machine["client_secret"])


def test_a_person_reads_what_the_token_says(world: World) -> None:
    answer = world.get("/users/me", world.token("ann", PASSWORD))
    assert answer.status_code == 200
    assert answer.json() == {"id": world.person["id"], "username": "ann", "roles": [], "scopes": []}


def test_a_client_acts_for_itself(world: World) -> None:
    token = world.machine_token()
    assert world.get("/users/me", token).json() == {
        "id": "machine",
        "username": None,
        "roles": [],
        "scopes": ["read"],
    }
    assert world.get("/admin/dashboard", token).status_code == 403


def test_an_administrator_sees_the_dashboard(world: World) -> None:
    answer = world.get("/admin/dashboard", world.token("admin", world.issuer.admin_password))
    assert answer.status_code == 200
    assert answer.json() == {"message": "Welcome, admin"}


def test_others_do_not(world: World) -> None:
    answer = world.get("/admin/dashboard", world.token("ann", PASSWORD))
    assert answer.status_code == 403
    assert answer.json() == {"detail": "Admin access required"}


@pytest.mark.parametrize("path", ["/users/me", "/admin/dashboard"])
def test_nothing_without_a_token(world: World, path: str) -> None:
    answer = world.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_changed_token_is_refused(world: World) -> None:
    head, payload, signature = world.token("ann", PASSWORD).split(".")
    answer = world.get("/users/me", f"{head}.{payload}.{signature[::-1]}")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_r15_a_token_for_another_service_is_refused(world: World) -> None:
    for_the_issuer = world.token("ann", PASSWORD, client_id="dev")  # the default client's tokens are for the issuer
    answer = world.get("/users/me", for_the_issuer)
    assert answer.status_code == 401
    assert "another audience" in answer.json()["detail"]


def test_r19_a_page_of_the_example_may_ask_for_tokens(world: World) -> None:
    preflight = _preflight(world, ORIGIN)
    assert preflight.status_code in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    allowed = preflight.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    assert {"authorization", "x-requested-with"} <= set(allowed)
    form = {"grant_type": "password", "client_id": "swagger", "username": "ann", "password": PASSWORD}
    answer = httpx.post(f"{world.issuer.url}/token", data=form, headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_r19_pages_of_other_origins_may_not(world: World) -> None:
    assert "access-control-allow-origin" not in _preflight(world, "http://localhost:9001").headers


def _preflight(world: World, origin: str) -> httpx.Response:
    """What a browser asks before Swagger UI's request for a token."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-requested-with",
    }
    return httpx.options(f"{world.issuer.url}/token", headers=headers)


def test_swagger_ui_can_authorize(world: World) -> None:
    document = world.get("/openapi.json").json()
    (name, scheme), *others = document["components"]["securitySchemes"].items()
    assert not others
    assert set(scheme["flows"]) == {"password", "clientCredentials"}
    assert {flow["tokenUrl"] for flow in scheme["flows"].values()} == {f"{world.issuer.url}/token"}
    for path in ("/users/me", "/admin/dashboard"):
        assert [list(demand) for demand in document["paths"][path]["get"]["security"]] == [[name]]


def test_swagger_ui_comes_from_the_example_itself(world: World) -> None:
    page = world.get("/docs").text
    assert "://" not in page
    assert '"clientId": "swagger"' in page
    for path in ("/docs/swagger-ui.js", "/docs/swagger-ui.css"):
        assert path in page
        assert world.get(path).status_code == 200
