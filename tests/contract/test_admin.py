"""The admin API: who may use it, and what it does."""

import datetime
from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from idp_verifier.testing import Signer
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import ADMIN_CLIENT, NO_TOKEN, admin_token, admin_token_of, bearer, token, token_of
from tests.contract.test_users import GOOD_PASSWORD, assert_problem
from tests.service import Service

USER = "00000000-0000-0000-0000-000000000001"
RESOURCES = [
    ("GET", "/admin/users"),
    ("POST", "/admin/users"),
    ("GET", f"/admin/users/{USER}"),
    ("PATCH", f"/admin/users/{USER}"),
    ("GET", "/admin/clients"),
    ("POST", "/admin/clients"),
    ("GET", "/admin/clients/x"),
    ("DELETE", "/admin/clients/x"),
    ("POST", "/admin/clients/x/secret"),
    ("GET", "/admin/keys"),
    ("POST", "/admin/keys/rotate"),
    ("POST", "/admin/keys/x/revoke"),
    ("GET", "/admin/audit"),
]


async def to_all(http: httpx.AsyncClient, headers: dict[str, str]) -> list[httpx.Response]:
    """What every resource of the admin API answers to whoever sends these headers."""
    return [await http.request(method, path, headers=headers) for method, path in RESOURCES]


class TestAuthorisation:
    """`aud` is exactly the issuer, `scope` holds `idp:admin`, and a person is an administrator now."""

    async def test_nobody(self, http: httpx.AsyncClient) -> None:
        for answer in await to_all(http, {}):
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"] == NO_TOKEN

    async def test_without_the_scope(self, http: httpx.AsyncClient, directory: Directories) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        client = await builders.client(directory, **ADMIN_CLIENT)
        for issued in (await token_of(http, administrator), await token(http, client)):
            for answer in await to_all(http, bearer(issued)):
                assert_problem(answer, 403)
                assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]

    async def test_for_another_resource_too(
        self, http: httpx.AsyncClient, directory: Directories, service: Service
    ) -> None:
        api = "https://api.example.com"
        client = await builders.client(directory, **ADMIN_CLIENT, audiences=(api,))
        both: dict[str, Any] = {"grant_type": "client_credentials", "scope": "idp:admin"}
        both["resource"] = [service.url, api]
        for_both = (await http.post("/token", data=both, auth=client.auth)).json()["access_token"]
        for answer in await to_all(http, bearer(for_both)):
            assert_problem(answer, 403)
        for answer in await to_all(http, bearer(await token(http, client, scope="idp:admin", resource=api))):
            assert_problem(answer, 401)

    async def test_demoted_or_disabled_meanwhile(self, http: httpx.AsyncClient, directory: Directories) -> None:
        administrator = await builders.user(directory, roles=("admin",))
        headers = bearer(await admin_token_of(http, directory, administrator))
        await directory.people.set_roles(administrator.id, [], OPERATOR)
        for answer in await to_all(http, headers):
            assert assert_problem(answer, 403)["detail"] == "Admin access required"
        await directory.people.set_roles(administrator.id, ["admin"], OPERATOR)
        await directory.people.set_active(administrator.id, False, OPERATOR)
        for answer in await to_all(http, headers):
            assert_problem(answer, 401)


async def test_an_administrator_and_a_client_are_let_in(http: httpx.AsyncClient, directory: Directories) -> None:
    administrator = await builders.user(directory, roles=("admin",))
    for issued in (await admin_token_of(http, directory, administrator), await admin_token(http, directory)):
        for method, path in RESOURCES:
            if method == "GET" and not path.endswith(("/x", USER)):
                assert (await http.get(path, headers=bearer(issued))).status_code == 200, path


class TestUsers:
    """`/admin/users`."""

    async def test_life(self, http: httpx.AsyncClient, directory: Directories) -> None:
        headers = bearer(await admin_token(http, directory))
        new = {"email": "Life@example.com", "username": "life", "password": GOOD_PASSWORD, "roles": ["editor"]}
        made = (await http.post("/admin/users", json=new, headers=headers)).json()
        place = f"/admin/users/{made['id']}"
        assert (await http.get(place, headers=headers)).json() == made
        assert made["roles"] == ["editor"]

        login = {"username": "life", "password": GOOD_PASSWORD}
        changed = await http.patch(place, json={"is_active": False}, headers=headers)
        assert changed.json() == made | {"is_active": False}
        assert (await http.post("/token", data=login)).status_code == 400
        changes = {"is_active": True, "roles": ["a", "b", "a"], "password": PASSWORD}
        changed = await http.patch(place, json=changes, headers=headers)
        assert changed.json() == made | {"roles": ["a", "b"]}
        assert (await http.post("/token", data=login)).status_code == 400
        assert (await http.post("/token", data=login | {"password": PASSWORD})).status_code == 200

    @pytest.mark.parametrize("wrong", [{"roles": ["a b"]}, {"is_active": "no"}, {"id": "x"}, {"email": "b@b.example"}])
    async def test_a_change_is_made_in_whole_or_not_at_all(
        self, http: httpx.AsyncClient, directory: Directories, wrong: dict[str, Any]
    ) -> None:
        user = await builders.user(directory)
        change = {"password": GOOD_PASSWORD, "is_active": True} | wrong
        headers = bearer(await admin_token(http, directory))
        answer = await http.patch(f"/admin/users/{user.id}", json=change, headers=headers)
        assert assert_problem(answer, 422)["errors"].keys() == wrong.keys()
        assert await token_of(http, user)  # by the old password

    @pytest.mark.parametrize("user_id", [USER, "nonsense", "a%00b", "%2e%2e", "1' or '1'='1"])
    async def test_nobody(self, http: httpx.AsyncClient, directory: Directories, user_id: str) -> None:
        headers = bearer(await admin_token(http, directory))
        assert_problem(await http.get(f"/admin/users/{user_id}", headers=headers), 404)
        assert_problem(await http.patch(f"/admin/users/{user_id}", json={}, headers=headers), 404)

    async def test_pages(self, http: httpx.AsyncClient, directory: Directories) -> None:
        made = {str((await builders.user(directory)).id) for _ in range(5)}
        headers = bearer(await admin_token(http, directory))
        seen: list[str] = []
        query: dict[str, str] = {"limit": "2"}
        while True:
            page = (await http.get("/admin/users", params=query, headers=headers)).json()
            assert len(page["users"]) <= 2
            seen += [user["id"] for user in page["users"]]
            if page["next"] is None:
                break
            query["after"] = page["next"]
        assert len(seen) == len(set(seen))
        assert made <= set(seen)

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=1001", "limit=-1", "limit=x", f"limit={'9' * 5000}", "limit=²", "after=x", "after=%00"],
    )
    async def test_malformed_page(self, http: httpx.AsyncClient, directory: Directories, query: str) -> None:
        headers = bearer(await admin_token(http, directory))
        assert_problem(await http.get(f"/admin/users?{query}", headers=headers), 422)


class TestClients:
    """`/admin/clients`."""

    async def test_life(self, http: httpx.AsyncClient, directory: Directories) -> None:
        headers = bearer(await admin_token(http, directory))
        answer = await http.post("/admin/clients", json={"client_id": "robot", "scope": "a b"}, headers=headers)
        assert answer.status_code == 201
        made = answer.json()
        first = made.pop("client_secret")
        assert made == {
            "client_id": "robot",
            "client_name": "robot",
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "scope": "a b",
            "audiences": [],
            "redirect_uris": [],
            "post_logout_redirect_uris": [],
            "origins": [],
            "introspect": False,
            "jwks": None,
            "jwks_uri": None,
            "dpop_bound_access_tokens": False,
            "impersonate": False,
            "resource_ids": [],
        }
        assert (await http.get("/admin/clients/robot", headers=headers)).json() == made  # never the secret
        form = {"grant_type": "client_credentials"}
        assert (await http.post("/token", data=form, auth=("robot", first))).status_code == 200
        again = await http.post("/admin/clients", json={"client_id": "robot"}, headers=headers)
        assert assert_problem(again, 409)["errors"].keys() == {"client_id"}

        rotated = (await http.post("/admin/clients/robot/secret", headers=headers)).json()
        assert rotated["client_secret"] not in (first, None)
        assert (await http.delete("/admin/clients/robot", headers=headers)).status_code == 204
        assert_problem(await http.delete("/admin/clients/robot", headers=headers), 404)
        assert_problem(await http.get("/admin/clients/robot", headers=headers), 404)

    async def test_a_public_client_gets_no_secret(self, http: httpx.AsyncClient, directory: Directories) -> None:
        headers = bearer(await admin_token(http, directory))
        new = {"client_id": "spa", "token_endpoint_auth_method": "none", "redirect_uris": ["https://app.example.com/"]}
        answer = await http.post("/admin/clients", json=new, headers=headers)
        assert "client_secret" not in answer.json()
        assert answer.json()["grant_types"] == ["authorization_code", "refresh_token"]
        assert_problem(await http.post("/admin/clients/spa/secret", headers=headers), 422)

    async def test_a_client_with_keys_gets_no_secret(self, http: httpx.AsyncClient, directory: Directories) -> None:
        headers = bearer(await admin_token(http, directory))
        keys = {"keys": [dict(Signer.generate("ES256").jwk)]}
        new = {"client_id": "keyed", "token_endpoint_auth_method": "private_key_jwt", "jwks": keys}
        answer = await http.post("/admin/clients", json=new, headers=headers)
        assert answer.status_code == 201
        assert "client_secret" not in answer.json()
        assert (await http.get("/admin/clients/keyed", headers=headers)).json()["jwks"] == keys
        assert_problem(await http.post("/admin/clients/keyed/secret", headers=headers), 422)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"client_id": USER},  # R21
            {"client_id": USER.replace("-", "").upper()},
            {"client_id": "{" + USER + "}"},
            {"client_id": "operator"},  # the audit log's name for the command line
            {"client_id": "a:b"},
            {"client_id": "a b"},
            {"client_id": "\x1b[31m"},
            {"client_id": ""},
            {"client_name": ""},
            {"client_name": "a\nb"},
            {"grant_types": ["implicit"]},  # R10
            {"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]},
            {"token_endpoint_auth_method": "magic"},
            {"token_endpoint_auth_method": "private_key_jwt"},
            {"jwks": {}},
            {"jwks": {"keys": [{"kty": "oct", "kid": "a", "alg": "HS256", "k": "AAAA"}]}},
            {"jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "d": "A" * 43}]}},
            {"jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "\0"}]}},
            {"jwks_uri": "http://app.example.com/jwks"},
            {"jwks_uri": "https://user@app.example.com/jwks"},
            {"jwks_uri": "file:///etc/passwd"},
            {"scope": 'a"b'},
            {"audiences": ["api"]},
            {"audiences": ["https://api.example.com#x"]},
            {"redirect_uris": ["http://app.example.com/"]},
            {"redirect_uris": ["javascript:alert(1)"]},
            {"redirect_uris": "https://app.example.com/"},
            {"origins": ["https://app.example.com/path"]},
            {"origins": ["null"]},
            {"origins": ["*"]},
            {"secrets": ["chosen"]},
            {"client_secret": "chosen"},
        ],
    )
    async def test_what_cannot_be_registered(
        self, http: httpx.AsyncClient, directory: Directories, wrong: dict[str, Any]
    ) -> None:
        headers = bearer(await admin_token(http, directory))
        new = {"client_id": "wrong"} | wrong
        assert_problem(await http.post("/admin/clients", json=new, headers=headers), 422)
        assert_problem(await http.get("/admin/clients/wrong", headers=headers), 404)


class TestKeys:
    """`/admin/keys`: their phases and instants, and nothing of their private halves."""

    async def test_list(self, http: httpx.AsyncClient, directory: Directories) -> None:
        headers = bearer(await admin_token(http, directory))
        keys = (await http.get("/admin/keys", headers=headers)).json()["keys"]
        public = {key["kid"] for key in (await http.get("/.well-known/jwks.json")).json()["keys"]}
        assert {key["kid"] for key in keys} == public
        assert [key["phase"] for key in keys] == ["signing", "published"]
        for key in keys:
            names = {"kid", "alg", "phase", "publish_at", "sign_from", "sign_until", "verify_until", "revoked_at"}
            assert key.keys() == names
            assert key["revoked_at"] is None
            instants = [
                datetime.datetime.fromisoformat(key[name])
                for name in sorted(names)
                if name.endswith(("_at", "_from", "_until")) and key[name]
            ]
            assert all(instant.tzinfo for instant in instants)


class TestAudit:
    """`/admin/audit`: newest first, by event and by person."""

    async def test_list(self, http: httpx.AsyncClient, directory: Directories) -> None:
        headers = bearer(await admin_token(http, directory))
        user = await builders.user(directory)
        await directory.people.set_roles(user.id, ["editor"], OPERATOR)
        query = {"subject": str(user.id)}
        events = (await http.get("/admin/audit", params=query, headers=headers)).json()["events"]
        assert [event["event"] for event in events] == ["user.roles_changed", "user.created"]
        changed = events[0]
        assert {name: changed[name] for name in ("outcome", "actor", "subject", "source", "detail")} == {
            "outcome": "success",
            "actor": "operator",
            "subject": str(user.id),
            "source": "local",
            "detail": {"roles": "editor"},
        }
        assert datetime.datetime.fromisoformat(changed["at"]).tzinfo
        query = {"event": "user.created", "limit": "1"}
        page = (await http.get("/admin/audit", params=query, headers=headers)).json()
        assert [event["event"] for event in page["events"]] == ["user.created"]
        assert page["next"]
        older = (await http.get("/admin/audit", params=query | {"after": page["next"]}, headers=headers)).json()
        assert older["events"][0]["id"] < page["events"][0]["id"]

    @pytest.mark.parametrize("query", ["event=%00", "subject='%20or%20''='", "after=999999999999999999"])
    async def test_odd_queries(self, http: httpx.AsyncClient, directory: Directories, query: str) -> None:
        headers = bearer(await admin_token(http, directory))
        assert (await http.get(f"/admin/audit?{query}", headers=headers)).status_code == 200
