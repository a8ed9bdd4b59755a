"""A service of each module's own: its tests register, change, rotate and revoke whatever they like in it."""

from collections.abc import Iterator

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.client import ADMIN_SCOPE
from tests import builders
from tests.conftest import CreateDatabase
from tests.service import Service, running, settings_for


@pytest.fixture(scope="module")
def service(create_database: CreateDatabase, migrated: str) -> Iterator[Service]:
    with create_database(migrated) as dsn, running(settings_for(dsn)) as service:
        yield service


@pytest.fixture
async def administrator(directory: Directories, http: httpx.AsyncClient) -> dict[str, str]:
    """The header of a client that may use the admin API."""
    client = await builders.client(directory, scopes=(ADMIN_SCOPE,))
    form = {"grant_type": "client_credentials", "scope": ADMIN_SCOPE}
    token = (await http.post("/token", data=form, auth=client.auth)).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}
