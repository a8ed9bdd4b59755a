"""The database goes away and comes back: keys and metadata are served all along, machines go on for a while, nothing is
pretended."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from idp.cli.directories import directories
from idp.embedded import attach
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from idp.protocol.user import User
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.contract.asking import bearer
from tests.embedded.clusters import cluster_of, postmaster_of, value
from tests.operation.serving import Process, environment, serving, settings_of
from tests.service import DEFAULT_CLIENT

OFFLINE = 4
CREDENTIALS = {"grant_type": "client_credentials"}


class Cluster:
    """A PostgreSQL of the test's own, to be taken away."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._membership = ExitStack()
        self.dsn = ""

    def start(self) -> None:
        self.dsn = self._membership.enter_context(attach(self._home))

    def stop(self) -> None:
        self._membership.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still: connections stay open, and nothing answers."""
        postmaster = postmaster_of(cluster_of(self._home))
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="idp-outage-") as folder:
        Path(folder).chmod(0o711)
        cluster = Cluster(Path(folder) / "postgres")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@asynccontextmanager
async def prepared(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[Process, User, ConfidentialClient]]:
    with serving(folder, environment(cluster.dsn, IDP_OFFLINE_SIGNING=str(OFFLINE)), "--migrate") as process:
        async with directories(settings_of(cluster.dsn)) as directory:
            default = Client(DEFAULT_CLIENT, "default", "none", frozenset({"password"}))
            await directory.clients.add(default, None, OPERATOR)
            user, client = await builders.user(directory), await builders.client(directory)
        yield process, user, client


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["cache-control"] == "no-store"
    assert answer.elapsed.total_seconds() < 2  # one second is the promise; the machine has other things to do, too


async def until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await http.get("/readyz")).status_code != 200:
            pass


async def test_gone_and_back(cluster: Cluster, tmp_path: Path) -> None:
    async with prepared(cluster, tmp_path) as (process, user, client):
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
            login = {"username": user.email, "password": PASSWORD}
            person = (await http.post("/token", data=login)).json()["access_token"]
            assert (await http.post("/token", data=CREDENTIALS, auth=client.auth)).status_code == 200
            keys = (await http.get("/.well-known/jwks.json")).content

            await asyncio.to_thread(cluster.stop)
            gone = time.monotonic()
            issued = 0
            while time.monotonic() - gone < OFFLINE / 2:  # machines go on
                answer = await http.post("/token", data=CREDENTIALS, auth=client.auth)
                assert answer.status_code == 200, answer.text
                issued += 1
                await asyncio.sleep(0.1)
            assert issued >= 3
            for form in (login, login | {"username": "nobody"}):
                answer = await http.post("/token", data=form)
                assert_unavailable(answer)
                assert answer.json()["error"] == "temporarily_unavailable"
            answer = await http.post("/token", data=CREDENTIALS, auth=("never-seen", "x" * 43))
            assert_unavailable(answer)  # and not `invalid_client`: who knows
            answer = await http.get("/users/me", headers=bearer(person))
            assert_unavailable(answer)
            assert answer.headers["content-type"] == "application/problem+json"
            unready = await http.get("/readyz")
            assert_unavailable(unready)
            assert unready.json()["checks"]["database"] != "ok"
            assert (await http.get("/healthz")).status_code == 200

            await asyncio.sleep(max(0.0, gone + OFFLINE + 1.5 - time.monotonic()))
            answer = await http.post("/token", data=CREDENTIALS, auth=client.auth)
            assert_unavailable(answer)  # now they do not
            assert answer.json()["error"] == "temporarily_unavailable"
            assert (await http.get("/.well-known/jwks.json")).content == keys
            for name in ("openid-configuration", "oauth-authorization-server"):
                assert (await http.get(f"/.well-known/{name}")).status_code == 200

            await asyncio.to_thread(cluster.start)
            await until_ready(http)
            assert (await http.post("/token", data=CREDENTIALS, auth=client.auth)).status_code == 200
            assert (await http.post("/token", data=login)).status_code == 200
            assert (await http.get("/users/me", headers=bearer(person))).json()["id"] == str(user.id)
        assert await asyncio.to_thread(process.stop) == 0
        name = client.client.client_id
        recorded = "select count(*) from audit_log where event = 'token.issued' and actor = $1"
        assert await value(cluster.dsn, recorded, name) == issued + 2  # none was forgotten, before, meanwhile and after
        assert "Traceback" not in process.written()


async def test_stopped_while_the_database_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """It ends, and says that events are lost."""
    async with prepared(cluster, tmp_path) as (process, _, client):
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
            assert (await http.post("/token", data=CREDENTIALS, auth=client.auth)).status_code == 200
            await asyncio.to_thread(cluster.stop)
            assert (await http.post("/token", data=CREDENTIALS, auth=client.auth)).status_code == 200
        assert await asyncio.to_thread(process.stop) == 1
        assert "audit events lost" in process.written()
        assert "Traceback" not in process.written()


async def test_standing_still(cluster: Cluster, tmp_path: Path) -> None:
    """Waits are bounded, and what needs no database keeps its speed."""
    async with prepared(cluster, tmp_path) as (process, user, client):
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
            login = {"username": user.email, "password": PASSWORD}
            assert (await http.post("/token", data=login)).status_code == 200
            assert (await http.post("/token", data=CREDENTIALS, auth=client.auth)).status_code == 200
            with cluster.frozen():
                logins = [asyncio.create_task(http.post("/token", data=login)) for _ in range(20)]
                for _ in range(5):
                    answers = [
                        await http.get("/.well-known/jwks.json"),
                        await http.get("/healthz"),
                        await http.post("/token", data=CREDENTIALS, auth=client.auth),
                    ]
                    assert [answer.status_code for answer in answers] == [200] * 3
                    assert max(answer.elapsed.total_seconds() for answer in answers) < 1
                    await asyncio.sleep(0.2)
                for answer in await asyncio.gather(*logins):
                    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
                    assert answer.elapsed.total_seconds() < 10
            await until_ready(http)
            assert (await http.post("/token", data=login)).status_code == 200
        assert await asyncio.to_thread(process.stop) == 0
