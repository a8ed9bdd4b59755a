"""`/users/me`, `/admin/dashboard` and `POST /users`: people, and what they may do with their everyday token."""

from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import NO_TOKEN, admin_token, admin_token_of, bearer, claims, token, token_of

GOOD_PASSWORD = "seven blue otters on the roof"


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """RFC 9457, and never cached."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


class TestMe:
    """The bearer's own record."""

    async def test_record(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory, roles=("editor",))
        answer = await http.get("/users/me", headers=bearer(await token_of(http, user)))
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "id": str(user.id),
            "email": user.email,
            "username": user.username,
            "roles": ["editor"],
            "is_active": True,
        }

    async def test_roles_are_those_of_now(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory, roles=("editor",))
        issued = await token_of(http, user)
        await directory.people.set_roles(user.id, ["reader"], OPERATOR)
        assert (await http.get("/users/me", headers=bearer(issued))).json()["roles"] == ["reader"]

    async def test_a_disabled_users_token_is_worth_nothing(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        user = await builders.user(directory)
        issued = await token_of(http, user)
        await directory.people.set_active(user.id, False, OPERATOR)
        answer = await http.get("/users/me", headers=bearer(issued))
        assert_problem(answer, 401)
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        await directory.people.set_active(user.id, True, OPERATOR)
        assert (await http.get("/users/me", headers=bearer(issued))).status_code == 200

    async def test_without_token(self, http: httpx.AsyncClient) -> None:
        answer = await http.get("/users/me")
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"] == NO_TOKEN  # no error code, RFC 6750 §3.1

    async def test_a_clients_own_token(self, http: httpx.AsyncClient, directory: Directories) -> None:
        issued = await token(http, await builders.client(directory))
        assert_problem(await http.get("/users/me", headers=bearer(issued)), 403)

    async def test_r15_a_token_for_another_resource(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(
            directory, grant_types=frozenset({"password"}), audiences=("https://api.example.com",)
        )
        user = await builders.user(directory)
        form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
        assert_problem(await http.get("/users/me", headers=bearer(await token(http, client, **form))), 401)


class TestDashboard:
    """For administrators, whatever token they hold."""

    async def test_administrator(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory, roles=("admin",))
        assert (await http.get("/admin/dashboard", headers=bearer(await token_of(http, user)))).status_code == 200

    async def test_others(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory, roles=("editor",))
        answer = await http.get("/admin/dashboard", headers=bearer(await token_of(http, user)))
        assert assert_problem(answer, 403)["detail"] == "Admin access required"

    async def test_a_client(self, http: httpx.AsyncClient, directory: Directories) -> None:
        answer = await http.get("/admin/dashboard", headers=bearer(await admin_token(http, directory)))
        assert assert_problem(answer, 403)["detail"] == "Admin access required"

    async def test_without_token(self, http: httpx.AsyncClient) -> None:
        assert_problem(await http.get("/admin/dashboard"), 401)

    async def test_who_was_demoted_after_the_token(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory, roles=("admin",))
        issued = await token_of(http, user)
        assert claims(issued)["roles"] == ["admin"]
        await directory.people.set_roles(user.id, [], OPERATOR)
        answer = await http.get("/admin/dashboard", headers=bearer(issued))
        assert assert_problem(answer, 403)["detail"] == "Admin access required"

    async def test_who_was_disabled_after_the_token(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory, roles=("admin",))
        issued = await token_of(http, user)
        await directory.people.set_active(user.id, False, OPERATOR)
        assert_problem(await http.get("/admin/dashboard", headers=bearer(issued)), 401)


class TestRegistration:
    """`POST /users`, by an administrator."""

    async def test_created(self, http: httpx.AsyncClient, directory: Directories) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        new = {"email": "New.Person@Example.com", "username": "NewPerson", "password": GOOD_PASSWORD}
        answer = await http.post("/users", json=new, headers=bearer(await token_of(http, administrator)))
        assert answer.status_code == 201
        made = answer.json()
        assert (made["username"], made["roles"], made["is_active"]) == ("NewPerson", [], True)
        assert "password" not in answer.text.lower()
        login = {"username": "newperson", "password": GOOD_PASSWORD}
        assert (await http.post("/token", data=login)).status_code == 200

    @pytest.mark.parametrize("field", ["email", "username"])
    async def test_taken_in_another_spelling(self, http: httpx.AsyncClient, directory: Directories, field: str) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        taken = administrator.email if field == "email" else administrator.username or ""
        new = {"email": "somebody@example.com", "username": "somebody", "password": GOOD_PASSWORD}
        answer = await http.post(
            "/users", json=new | {field: taken.upper()}, headers=bearer(await token_of(http, administrator))
        )
        assert assert_problem(answer, 409)["errors"].keys() == {field}

    @pytest.mark.parametrize(
        ("change", "faulty"),
        [
            ({"password": "short"}, {"password"}),
            ({"password": "passwordpassword"}, {"password"}),
            ({"password": None}, {"password"}),
            ({"password": 5}, {"password"}),
            ({"email": "no address"}, {"email"}),
            ({"email": "a\0@example.com"}, {"email"}),
            ({"username": "a b"}, {"username"}),
            ({"username": "\u0430dmin"}, {"username"}),  # a Cyrillic letter among Latin ones
            ({"email": None, "password": None, "nonsense": 1}, {"email", "password", "nonsense"}),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, http: httpx.AsyncClient, directory: Directories, change: dict[str, Any], faulty: set[str]
    ) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        new = {"email": "good@example.com", "password": GOOD_PASSWORD} | change
        answer = await http.post("/users", json=new, headers=bearer(await token_of(http, administrator)))
        assert assert_problem(answer, 422)["errors"].keys() == faulty

    async def test_by_others(self, http: httpx.AsyncClient, directory: Directories) -> None:
        user = await builders.user(directory)
        answer = await http.post("/users", json={}, headers=bearer(await token_of(http, user)))
        assert assert_problem(answer, 403)["detail"] == "Admin access required"
        assert_problem(await http.post("/users", json={}), 401)

    async def test_only_the_admin_api_gives_roles(self, http: httpx.AsyncClient, directory: Directories) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        new = {"email": "second@example.com", "password": GOOD_PASSWORD, "roles": ["admin"]}
        everyday = bearer(await token_of(http, administrator))
        assert assert_problem(await http.post("/users", json=new, headers=everyday), 422)["errors"].keys() == {"roles"}
        for_it = bearer(await admin_token_of(http, directory, administrator))
        assert (await http.post("/users", json=new, headers=for_it)).json()["roles"] == ["admin"]

    @pytest.mark.parametrize(
        ("content", "media_type", "status"),
        [
            (b"{}", "text/plain", 415),
            (b"{}", "application/x-www-form-urlencoded", 415),
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b"\xff", "application/json", 400),
            (b"[" * 60_000, "application/json", 400),
            (b'"' + b"x" * 70_000 + b'"', "application/json", 413),
        ],
    )
    async def test_malformed_body(
        self, http: httpx.AsyncClient, directory: Directories, content: bytes, media_type: str, status: int
    ) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        headers = bearer(await token_of(http, administrator)) | {"content-type": media_type}
        assert_problem(await http.post("/users", content=content, headers=headers), status)
