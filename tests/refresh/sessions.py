"""A person logged in at a client, as tests of refresh tokens need one."""

from dataclasses import dataclass
from typing import Any

import httpx

from idp.cli.directories import Directories
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient

GRANTS = {"grant_types": frozenset({"password", "refresh_token"}), "scopes": ("read", "write")}


@dataclass
class Session:
    """A person logged in at a client."""

    http: httpx.AsyncClient
    client: ConfidentialClient
    user_id: Any
    refresh_token: str

    async def refresh(self, token: str | None = None, **form: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token or self.refresh_token, **form}
        return await self.http.post("/token", data=form, auth=self.client.auth)

    async def turn(self) -> str:
        """Refreshes, and keeps the successor."""
        answer = await self.refresh()
        assert answer.status_code == 200, answer.text
        before, self.refresh_token = self.refresh_token, answer.json()["refresh_token"]
        return before


async def log_in(http: httpx.AsyncClient, directory: Directories, **changes: Any) -> Session:
    client = await builders.client(directory, **GRANTS | changes)
    user = await builders.user(directory)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    answer = await http.post("/token", data=form, auth=client.auth)
    assert answer.status_code == 200, answer.text
    return Session(http, client, user.id, answer.json()["refresh_token"])
