"""Successful answers of `POST /token`: the header and the claims (RFC 9068), scope, audience, client authentication."""

import base64
import time
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

import httpx
import pytest

from idp.cli.directories import Directories
from idp.directory.clients import new_secret
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import claims, header, token
from tests.service import Service

API, OTHER = "https://api.example.com", "https://other.example.com/v1"
PASSWORD_CLIENT = {"grant_types": frozenset({"password"}), "scopes": ("read", "write")}


class TestAnswer:
    """The members of the answer and of the token, exactly."""

    async def test_client_credentials(self, http: httpx.AsyncClient, directory: Directories, service: Service) -> None:
        client = await builders.client(directory, scopes=("read",))
        before = int(time.time())
        answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=client.auth)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        body = answer.json()
        issued = body.pop("access_token")
        assert body == {"token_type": "Bearer", "expires_in": 900, "scope": "read"}

        jwks = (await http.get("/.well-known/jwks.json")).json()
        assert header(issued) == {"typ": "at+jwt", "alg": "RS256", "kid": header(issued)["kid"]}
        assert header(issued)["kid"] in {key["kid"] for key in jwks["keys"]}
        found = claims(issued)
        assert before - 1 <= found["iat"] <= int(time.time()) + 1
        assert len(base64.urlsafe_b64decode(found["jti"] + "==")) >= 16
        assert found == {
            "iss": service.url,
            "sub": client.client.client_id,
            "aud": service.url,
            "exp": found["iat"] + 900,
            "iat": found["iat"],
            "jti": found["jti"],
            "client_id": client.client.client_id,
            "scope": "read",
        }

    async def test_password(self, http: httpx.AsyncClient, directory: Directories, service: Service) -> None:
        client = await builders.client(directory, **PASSWORD_CLIENT)
        user = await builders.user(directory, roles=("editor", "admin"))
        issued = await token(http, client, grant_type="password", username=user.email, password=PASSWORD)
        found = claims(issued)
        assert UUID(found["sub"]) == user.id
        assert found["iat"] - 5 <= found["auth_time"] <= found["iat"]
        assert found == {
            "iss": service.url,
            "sub": str(user.id),
            "aud": service.url,
            "exp": found["iat"] + 900,
            "iat": found["iat"],
            "jti": found["jti"],
            "client_id": client.client.client_id,
            "scope": "read write",
            "auth_time": found["auth_time"],
            "amr": ["pwd"],
            "username": user.username,
            "roles": ["editor", "admin"],
        }

    async def test_no_two_tokens_are_alike(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory)
        assert len({claims(await token(http, client))["jti"] for _ in range(20)}) == 20

    async def test_without_refresh_grant_there_is_no_refresh_token(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        client = await builders.client(directory, **PASSWORD_CLIENT)
        user = await builders.user(directory)
        form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
        answer = await http.post("/token", data=form, auth=client.auth)
        assert answer.json().keys() == {"access_token", "token_type", "expires_in", "scope"}

    async def test_an_empty_scope_is_left_out(self, http: httpx.AsyncClient, directory: Directories) -> None:
        """RFC 6749 A.4: a scope has at least one value, so none is not an empty string."""
        client = await builders.client(directory)
        answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=client.auth)
        assert "scope" not in answer.json()
        assert "scope" not in claims(answer.json()["access_token"])


class TestClientAuthentication:
    """RFC 6749 §2.3.1: Basic with form-encoded halves, the body, or none for a public client."""

    SECRET = "pass:word+%25&=/?#~ unlike any other, but long"

    @pytest.mark.parametrize("client_id", ["a+b", "a%b", "a?b&c", "ab&c=d", "a'\"b", "a%2Bb", "~._-!$()*,;@[]"])
    async def test_special_characters(self, http: httpx.AsyncClient, directory: Directories, client_id: str) -> None:
        client = Client(client_id, "special", "client_secret_basic", frozenset({"client_credentials"}))
        await directory.clients.add(client, self.SECRET, OPERATOR)
        credentials = base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(self.SECRET)}".encode()).decode()
        basic = await http.post(
            "/token", data={"grant_type": "client_credentials"}, headers={"Authorization": f"basic {credentials}"}
        )
        assert claims(basic.json()["access_token"])["sub"] == client_id
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": self.SECRET}
        posted = await http.post("/token", data=form)
        assert claims(posted.json()["access_token"])["sub"] == client_id

    async def test_basic_may_repeat_its_client_id_in_the_body(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        client = await builders.client(directory)
        assert await token(http, client, client_id=client.client.client_id)

    async def test_empty_parameters_count_as_absent(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory, scopes=("read",))
        issued = await token(http, client, client_id="", client_secret="", scope="", resource="", made_up="")
        assert claims(issued)["scope"] == "read"

    async def test_public_client(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(
            directory, token_endpoint_auth_method="none", grant_types=frozenset({"password"})
        )
        user = await builders.user(directory)
        form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
        answer = await http.post("/token", data=form | {"client_id": client.client.client_id})
        assert claims(answer.json()["access_token"])["client_id"] == client.client.client_id

    async def test_both_secrets_work_while_one_replaces_the_other(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        client = await builders.client(directory)
        successor = new_secret()
        await directory.clients.rotate_secret(client.client.client_id, successor, OPERATOR)
        assert await token(http, client)
        assert await token(http, builders.ConfidentialClient(client.client, successor))


class TestScope:
    """Omitted means all but `idp:admin`; asked for, it narrows."""

    async def test_default_leaves_out_administration(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory, scopes=("write", "idp:admin", "read"))
        assert claims(await token(http, client))["scope"] == "write read"

    @pytest.mark.parametrize(
        ("asked", "granted"),
        [("read", "read"), ("write read", "write read"), ("read read", "read"), ("idp:admin read", "idp:admin read")],
    )
    async def test_narrowing(self, http: httpx.AsyncClient, directory: Directories, asked: str, granted: str) -> None:
        client = await builders.client(directory, scopes=("read", "write", "idp:admin"))
        answer = await http.post("/token", data={"grant_type": "client_credentials", "scope": asked}, auth=client.auth)
        assert answer.json()["scope"] == granted
        assert claims(answer.json()["access_token"])["scope"] == granted


class TestAudience:
    """RFC 8707: `aud` is what was asked for, else the client's first audience, else the issuer."""

    async def _aud(self, http: httpx.AsyncClient, directory: Directories, *resources: str, **changes: Any) -> Any:
        client = await builders.client(directory, **{"audiences": (API, OTHER)} | changes)
        data: dict[str, Any] = {"grant_type": "client_credentials", "resource": list(resources)}
        answer = await http.post("/token", data=data, auth=client.auth)
        return claims(answer.json()["access_token"])["aud"]

    async def test_none_of_a_client_without_audiences(
        self, http: httpx.AsyncClient, directory: Directories, service: Service
    ) -> None:
        assert await self._aud(http, directory, audiences=()) == service.url

    async def test_none_is_the_first(self, http: httpx.AsyncClient, directory: Directories) -> None:
        assert await self._aud(http, directory) == API

    async def test_none_with_openid(self, http: httpx.AsyncClient, directory: Directories, service: Service) -> None:
        assert await self._aud(http, directory, scopes=("openid",)) == [API, service.url]

    async def test_one_is_a_string(self, http: httpx.AsyncClient, directory: Directories) -> None:
        assert await self._aud(http, directory, OTHER) == OTHER

    async def test_one_twice_is_one(self, http: httpx.AsyncClient, directory: Directories) -> None:
        assert await self._aud(http, directory, OTHER, OTHER) == OTHER

    async def test_several_are_a_list(self, http: httpx.AsyncClient, directory: Directories) -> None:
        assert await self._aud(http, directory, OTHER, API) == [OTHER, API]

    async def test_the_issuer_is_everybodys(
        self, http: httpx.AsyncClient, directory: Directories, service: Service
    ) -> None:
        assert await self._aud(http, directory, service.url) == service.url
        assert await self._aud(http, directory, API, service.url) == [API, service.url]
