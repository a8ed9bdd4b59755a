"""SIGTERM: no request is dropped, the exit code is 0. A worker that dies is replaced, and none outlives the service."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil  # types-psutil is not among the pins
import pytest

from idp.cli.directories import directories
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.operation.serving import environment, serving, settings_of


async def made_client(dsn: str) -> ConfidentialClient:
    async with directories(settings_of(dsn)) as directory:
        return await builders.client(directory)


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def requests_until_refused(url: str, client: ConfidentialClient, *, keep_alive: bool) -> Counter[str]:
    """Asks for tokens until nobody accepts connections any more, and counts what became of each request."""
    outcomes: Counter[str] = Counter()
    headers = {} if keep_alive else {"Connection": "close"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
        while True:
            try:
                answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=client.auth)
            except httpx.ConnectError:
                return outcomes
            except httpx.TransportError as error:
                outcomes[repr(error)] += 1
            else:
                outcomes[str(answer.status_code)] += 1


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_request_is_dropped(database: str, tmp_path: Path, workers: str) -> None:
    client = await made_client(database)
    with serving(tmp_path, environment(database), "--workers", workers) as process:
        load = [
            asyncio.create_task(requests_until_refused(process.url, client, keep_alive=bool(number % 2)))
            for number in range(12)
        ]
        await asyncio.sleep(1)
        assert await asyncio.to_thread(process.stop) == 0
        outcomes = sum(await asyncio.gather(*load), Counter[str]())
    assert outcomes.keys() == {"200"}, outcomes
    assert "Traceback" not in process.written()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_slow_request_is_finished(database: str, tmp_path: Path, number: signal.Signals) -> None:
    """A login of which half has come when the signal does; the rest, hashing included, follows while it stops."""
    form = urllib.parse.urlencode({"grant_type": "password", "username": "nobody", "password": PASSWORD}).encode()
    with (
        on_hangup(signal.SIG_DFL),
        serving(tmp_path, environment(database)) as process,
        contextlib.closing(connection(process.url)) as login,
    ):
        login.putrequest("POST", "/token")
        login.putheader("Content-Type", "application/x-www-form-urlencoded")
        login.putheader("Content-Length", str(len(form)))
        login.endheaders(form[:10])
        assert httpx.get(f"{process.url}/healthz").status_code == 200  # by now it has read what came before

        process.process.send_signal(number)
        until(lambda: refuses(process.url))
        login.send(form[10:])
        answer = login.getresponse()
        assert json.load(answer)["error"] == "invalid_grant"
        assert answer.headers["connection"] == "close"
        assert process.process.wait(30) == 0


def connection(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(httpx.URL(url).host, httpx.URL(url).port, timeout=30)


def refuses(url: str) -> bool:
    """Whether nobody accepts connections there any more."""
    with contextlib.closing(connection(url)) as another:
        try:
            another.connect()
        except ConnectionRefusedError:
            return True
    return False


def test_nohup_is_heeded(database: str, tmp_path: Path) -> None:
    with on_hangup(signal.SIG_IGN), serving(tmp_path, environment(database)) as process:
        process.process.send_signal(signal.SIGHUP)
        assert httpx.get(f"{process.url}/healthz").status_code == 200
        assert process.stop() == 0


@contextlib.contextmanager
def on_hangup(disposition: signal.Handlers) -> Iterator[None]:
    """What a process that is started meanwhile inherits, however the tests themselves were started."""
    before = signal.signal(signal.SIGHUP, disposition)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_at_the_first_moment(database: str, tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, environment(database), "--workers", workers) as process:
        assert process.stop() == 0


class TestWorkers:
    """`--workers N`."""

    def test_metrics_are_summed(self, database: str, tmp_path: Path) -> None:
        with serving(tmp_path, environment(database), "--workers", "2") as process:
            for _ in range(60):  # each on a connection of its own, so that both workers get some
                assert httpx.get(f"{process.url}/healthz").status_code == 200
            line = 'idp_http_requests_total{method="GET",route="/healthz",status="200"} 60.0'
            for _ in range(6):  # whoever is asked, once the others have counted too
                until(lambda: line in httpx.get(f"{process.url}/metrics").text)

    def test_one_that_dies_is_replaced(self, database: str, tmp_path: Path) -> None:
        with serving(tmp_path, environment(database), "--workers", "2") as process:
            parent = psutil.Process(process.process.pid)
            first = {child.pid for child in parent.children()}
            assert len(first) == 2
            victim = min(first)
            os.kill(victim, signal.SIGKILL)
            until(lambda: "worker died" in process.written())
            until(lambda: len({child.pid for child in parent.children()} - {victim}) == 2)
            assert httpx.get(f"{process.url}/healthz").status_code == 200
            assert process.stop() == 0

    async def test_sighup_replaces_them_without_a_failed_request(self, database: str, tmp_path: Path) -> None:
        with serving(tmp_path, environment(database), "--workers", "2") as process:
            parent = psutil.Process(process.process.pid)
            first = {child.pid for child in parent.children()}
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
                over = asyncio.Event()
                load = [asyncio.create_task(_ask_until(over, http)) for _ in range(8)]
                parent.send_signal(signal.SIGHUP)
                while "the workers were replaced" not in process.written():  # noqa: ASYNC110 - nobody is told
                    await asyncio.sleep(0.05)
                while first & {child.pid for child in parent.children()}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                over.set()
                assert set(await asyncio.gather(*load)) == {200}
            assert len(parent.children()) == 2
            assert process.stop() == 0

    def test_a_new_one_that_cannot_start_replaces_nobody(self, database: str, tmp_path: Path) -> None:
        """A file with a secret was changed, and not well: the workers that serve go on."""
        secret = tmp_path / "pepper"
        variables = environment(database)
        secret.write_text(variables.pop("IDP_PASSWORD_PEPPER"))
        variables["IDP_PASSWORD_PEPPER_FILE"] = str(secret)
        with serving(tmp_path, variables, "--workers", "2") as process:
            parent = psutil.Process(process.process.pid)
            first = {child.pid for child in parent.children()}
            secret.write_text("short")
            parent.send_signal(signal.SIGHUP)
            until(lambda: "the old ones go on" in process.written())
            assert first <= {child.pid for child in parent.children()}
            assert "IDP_PASSWORD_PEPPER" in process.written()
            assert httpx.get(f"{process.url}/healthz").status_code == 200
            assert process.stop() == 0

    def test_none_outlives_the_parent(self, database: str, tmp_path: Path) -> None:
        with serving(tmp_path, environment(database), "--workers", "2") as process:
            children = psutil.Process(process.process.pid).children()
            process.process.kill()
            process.process.wait()
            until(lambda: not any(_runs(child) for child in children))
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{process.url}/healthz")


async def _ask_until(over: asyncio.Event, http: httpx.AsyncClient) -> int:
    """Asks until it is over. Gives the last status that was not 200, if there was one."""
    status = 200
    while not over.is_set():
        answer = await http.get("/.well-known/jwks.json")
        status = status if answer.status_code == 200 else answer.status_code
    return status


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
