"""A person logged in at a client, as tests of refresh tokens need one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

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
    user_id: UUID
    email: str
    refresh_token: str = ""

    async def log_in_again(self, **form: str | list[str]) -> httpx.Response:
        password = {"grant_type": "password", "username": self.email, "password": PASSWORD}
        return await self.http.post("/token", data=password | form, auth=self.client.auth)

    async def refresh(self, token: str | None = None, **form: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token or self.refresh_token, **form}
        return await self.http.post("/token", data=form, auth=self.client.auth)

    async def turn(self) -> str:
        """Refreshes, and keeps the successor."""
        answer = await self.refresh()
        assert answer.status_code == 200, answer.text
        before, self.refresh_token = self.refresh_token, answer.json()["refresh_token"]
        return before


async def log_in(
    http: httpx.AsyncClient,
    directory: Directories,
    *,
    form: Mapping[str, str | list[str]] | None = None,
    roles: tuple[str, ...] = (),
    **changes: Any,
) -> Session:
    """Somebody with these roles logs in with this form at a client with these changes."""
    client = await builders.client(directory, **GRANTS | changes)
    user = await builders.user(directory, roles=roles)
    session = Session(http, client, user.id, user.email)
    answer = await session.log_in_again(**form or {})
    assert answer.status_code == 200, answer.text
    session.refresh_token = answer.json()["refresh_token"]
    return session
