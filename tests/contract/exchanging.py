"""A shop whose web client calls orders, which calls stock, which calls billing: who exchanges tokens in tests."""

from dataclasses import dataclass
from typing import Any

import httpx

from idp.cli.directories import Directories
from idp.protocol.token_exchange import ACCESS_TOKEN, TOKEN_EXCHANGE
from idp.protocol.user import User
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.contract.asking import claims

ORDERS, STOCK, BILLING = "https://orders.example.com", "https://stock.example.com", "https://billing.example.com"

EXCHANGING = {"grant_types": frozenset({TOKEN_EXCHANGE, "client_credentials"}), "scopes": ("read", "write")}


@dataclass(frozen=True, slots=True)
class Shop:
    """A person, the client that they logged in at, and the API that the client calls."""

    http: httpx.AsyncClient
    user: User
    web: ConfidentialClient
    orders: ConfidentialClient

    async def logged_in(self, **form: str) -> dict[str, Any]:
        """The answer to a login: an access token for orders, and a refresh token."""
        password = {"grant_type": "password", "username": self.user.email, "password": PASSWORD}
        answer = await self.http.post("/token", data=password | form, auth=self.web.auth)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def subject_token(self, **form: str) -> str:
        return str((await self.logged_in(**form))["access_token"])

    async def exchange(
        self, token: str, by: ConfidentialClient | None = None, /, **form: str | list[str]
    ) -> httpx.Response:
        """Exchanges a token as orders, or `by` another client."""
        whole = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            **form,
        }
        return await self.http.post("/token", data=whole, auth=(by or self.orders).auth)

    async def exchanged(
        self, token: str, by: ConfidentialClient | None = None, /, **form: str | list[str]
    ) -> dict[str, Any]:
        """The claims of what a token is exchanged for."""
        return claims(await self.exchanged_token(token, by, **form))

    async def exchanged_token(
        self, token: str, by: ConfidentialClient | None = None, /, **form: str | list[str]
    ) -> str:
        answer = await self.exchange(token, by, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


async def shop(http: httpx.AsyncClient, directory: Directories, **changes: Any) -> Shop:
    """The API orders is registered with these changes."""
    web = {
        "grant_types": frozenset({"password", "refresh_token"}),
        "scopes": ("read", "mail", "idp:admin"),
        "audiences": (ORDERS,),
    }
    return Shop(
        http,
        await builders.user(directory, roles=("editor", "admin")),
        await builders.client(directory, **web),
        await api(directory, ORDERS, STOCK, **changes),
    )


async def api(directory: Directories, own: str, *callees: str, **changes: Any) -> ConfidentialClient:
    """An API that may call others."""
    return await builders.client(directory, **EXCHANGING | {"resource_ids": (own,), "audiences": callees} | changes)
