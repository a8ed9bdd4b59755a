"""Makes people and clients for tests. Names are unique, so that tests share a database without meeting."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from idp.cli.directories import Directories
from idp.directory.clients import new_secret
from idp.directory.people import Registration
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from idp.protocol.user import User

PASSWORD = "correct horse battery staple"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class ConfidentialClient:
    """A client and its secret."""

    client: Client
    secret: str = field(repr=False)

    @property
    def auth(self) -> tuple[str, str]:
        return self.client.client_id, self.secret


async def user(directory: Directories, *, roles: tuple[str, ...] = (), password: str = PASSWORD) -> User:
    """A registered person."""
    name = f"person{next(_numbers)}"
    return await directory.people.register(Registration(f"{name}@example.com", password, name, roles), OPERATOR)


async def client(directory: Directories, **changes: Any) -> ConfidentialClient:
    """A confidential client for client_credentials, unless `changes` say otherwise."""
    metadata: dict[str, Any] = {
        "client_id": f"client{next(_numbers)}",
        "name": "a client",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": frozenset({"client_credentials"}),
    }
    made = ConfidentialClient(Client(**metadata | changes), new_secret())
    await directory.clients.add(made.client, made.secret if made.client.uses_secret else None, OPERATOR)
    return made
