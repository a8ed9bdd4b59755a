"""Nobody gets more than was given to them: by members that were not asked for, other people's ids, two identities."""

from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import ADMIN_CLIENT, admin_token, bearer, token, token_of
from tests.contract.test_users import GOOD_PASSWORD, assert_problem

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "member",
    [
        {"roles": ["admin"]},
        {"role": "admin"},
        {"is_admin": True},
        {"verified": True},
        {"email_verified": True},
        {"is_active": True},
        {"id": "00000000-0000-0000-0000-000000000001"},
        {"password_hash": "$2b$04$" + "a" * 53},
        {"created_at": 0},
        {"__proto__": {"roles": ["admin"]}},
    ],
)
async def test_mass_assignment(http: httpx.AsyncClient, directory: Directories, member: dict[str, Any]) -> None:
    administrator = await builders.user(directory, roles=("admin",))
    new = {"email": "mass@example.com", "password": GOOD_PASSWORD} | member
    answer = await http.post("/users", json=new, headers=bearer(await token_of(http, administrator)))
    assert assert_problem(answer, 422)["errors"].keys() == member.keys()
    assert await directory.store.users.by_login_key("mass@example.com") is None


@pytest.mark.parametrize("member", [{"id": "x"}, {"email": "a@b.example"}, {"username": "x"}, {"verified": True}])
async def test_mass_assignment_by_an_administrator(
    http: httpx.AsyncClient, directory: Directories, member: dict[str, Any]
) -> None:
    user = await builders.user(directory)
    headers = bearer(await admin_token(http, directory))
    assert_problem(await http.patch(f"/admin/users/{user.id}", json=member, headers=headers), 422)


async def test_other_peoples_records(http: httpx.AsyncClient, directory: Directories) -> None:
    user, other = await builders.user(directory), await builders.user(directory)
    headers = bearer(await token_of(http, user))
    for method, path in (
        ("GET", f"/admin/users/{other.id}"),
        ("PATCH", f"/admin/users/{other.id}"),
        ("GET", f"/admin/users/{user.id}"),
    ):
        assert_problem(await http.request(method, path, headers=headers), 403)
    for query in (f"?id={other.id}", f"?user_id={other.id}", f"?sub={other.id}"):
        assert (await http.get(f"/users/me{query}", headers=headers)).json()["id"] == str(user.id)


async def test_r10_the_admin_scope_is_not_got_by_asking(http: httpx.AsyncClient, directory: Directories) -> None:
    """Not by a client that is not registered for it, nor by its administrator."""
    client = await builders.client(directory, grant_types=frozenset({"password", "client_credentials"}))
    administrator = await builders.user(directory, roles=("admin",))
    person = {"grant_type": "password", "username": administrator.email, "password": PASSWORD}
    for form in ({"grant_type": "client_credentials"}, person):
        answer = await http.post("/token", data=form | {"scope": "idp:admin"}, auth=client.auth)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_roles_in_a_token_open_nothing_by_themselves(http: httpx.AsyncClient, directory: Directories) -> None:
    """A client whose name looks like a role, or a person with a look-alike role, is no administrator."""
    user = await builders.user(directory, roles=("Admin", "administrator", "admin_"))
    assert_problem(await http.get("/admin/dashboard", headers=bearer(await token_of(http, user))), 403)
    client = await builders.client(directory, client_id="admin")
    assert_problem(await http.get("/admin/dashboard", headers=bearer(await token(http, client))), 403)


class TestTwoIdentities:
    """R13: one request, one authentication. A proxy in front may have looked at the other one."""

    async def test_two_clients_in_two_headers(self, http: httpx.AsyncClient, directory: Directories) -> None:
        first, second = await builders.client(directory), await builders.client(directory)
        headers = [("authorization", httpx.BasicAuth(*client.auth)._auth_header) for client in (first, second)]
        answer = await http.post("/token", content=b"grant_type=client_credentials", headers=[*headers, *FORM.items()])
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    async def test_two_tokens(self, http: httpx.AsyncClient, directory: Directories) -> None:
        users = await builders.user(directory), await builders.user(directory)
        headers = [("authorization", f"Bearer {await token_of(http, user)}") for user in users]
        answer = await http.get("/users/me", headers=headers)
        assert_problem(answer, 400)
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]

    @pytest.mark.parametrize("scheme", ["Basic", "Token", "JWT", "bearer,", ""])
    async def test_other_schemes(self, http: httpx.AsyncClient, directory: Directories, scheme: str) -> None:
        issued = await token_of(http, await builders.user(directory))
        assert_problem(await http.get("/users/me", headers={"authorization": f"{scheme} {issued}".strip()}), 401)

    async def test_tokens_in_other_places(self, http: httpx.AsyncClient, directory: Directories) -> None:
        """RFC 9700 §4.3.2: a token in a URL ends in logs and histories."""
        issued = await token_of(http, await builders.user(directory))
        assert_problem(await http.get(f"/users/me?access_token={issued}"), 401)
        assert_problem(await http.get("/users/me", headers={"cookie": f"access_token={issued}"}), 401)

    async def test_client_credentials_in_the_query(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory, **ADMIN_CLIENT)
        query = {"client_id": client.client.client_id, "client_secret": client.secret}
        answer = await http.post("/token", params=query, data={"grant_type": "client_credentials"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
