"""What a client got lives on until it expires; where the service itself is asked, it ends with its client.

The token is always issued by one instance and used at another, which does not have the client in memory.
"""

from collections.abc import AsyncIterator

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from idp.protocol.user import User
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.contract.asking import ADMIN_CLIENT, bearer, token
from tests.contract.test_users import assert_problem
from tests.security.instance import ISSUER, Instance, instance

ADMIN_FORM = {"scope": "idp:admin", "resource": ISSUER}


@pytest.fixture
async def one(database: str) -> AsyncIterator[Instance]:
    async with instance(database) as one:
        yield one


@pytest.fixture
async def other(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with instance(database) as other, other.at("192.0.2.1") as http:
        yield http


async def issued(one: Instance, client: ConfidentialClient, **form: str) -> str:
    async with one.at("192.0.2.1") as http:
        return await token(http, client, **form)


async def removed(directory: Directories, client: ConfidentialClient) -> None:
    await directory.clients.remove(client.client.client_id, OPERATOR)


class TestAdministration:
    """The admin API asks for the client that has the token, whoever its subject is."""

    @pytest.fixture
    async def client(self, one: Instance) -> ConfidentialClient:
        return await builders.client(one.directory, **ADMIN_CLIENT)

    @pytest.fixture
    async def administrator(self, one: Instance) -> User:
        return await builders.user(one.directory, roles=("admin",))

    async def test_by_a_client(self, one: Instance, other: httpx.AsyncClient, client: ConfidentialClient) -> None:
        headers = bearer(await issued(one, client, **ADMIN_FORM))
        await removed(one.directory, client)
        assert_problem(await other.get("/admin/users", headers=headers), 401)

    async def test_by_a_person(
        self, one: Instance, other: httpx.AsyncClient, client: ConfidentialClient, administrator: User
    ) -> None:
        login = {"grant_type": "password", "username": administrator.email, "password": PASSWORD}
        headers = bearer(await issued(one, client, **ADMIN_FORM, **login))
        await removed(one.directory, client)
        assert_problem(await other.get("/admin/users", headers=headers), 401)

    async def test_a_client_that_lost_the_scope(
        self, one: Instance, other: httpx.AsyncClient, client: ConfidentialClient
    ) -> None:
        headers = bearer(await issued(one, client, **ADMIN_FORM))
        await one.store.executor.execute("update clients set scopes = '{read}'")
        assert_problem(await other.get("/admin/users", headers=headers), 401)


async def test_introspection(one: Instance, other: httpx.AsyncClient) -> None:
    """As a token exchange has it, which does not accept such a token either."""
    client = await builders.client(one.directory)
    service = await builders.client(one.directory, may_introspect=True, audiences=(ISSUER,))
    form = {"token": await issued(one, client)}
    await removed(one.directory, client)
    assert (await other.post("/introspect", data=form, auth=service.auth)).json() == {"active": False}
