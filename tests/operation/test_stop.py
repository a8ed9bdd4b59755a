"""SIGTERM: no request is dropped, the exit code is 0."""

import asyncio
import contextlib
import itertools
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from idp.cli.directories import directories
from tests import builders
from tests.builders import ConfidentialClient
from tests.operation.serving import answer_over, environment, serving, settings_of, some_of_a_login, until


async def made_client(dsn: str) -> ConfidentialClient:
    async with directories(settings_of(dsn)) as directory:
        return await builders.client(directory)


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


@pytest.mark.parametrize("sent", [40, -10], ids=["half a head", "half a body"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_slow_request_is_finished(database: str, tmp_path: Path, number: signal.Signals, sent: int) -> None:
    """A login of which some has come when the signal does; the rest, hashing included, follows while it stops."""
    with (
        on_hangup(signal.SIG_DFL),
        serving(tmp_path, environment(database)) as process,
        some_of_a_login(process.url, sent) as (login, rest),
    ):
        assert httpx.get(f"{process.url}/healthz").status_code == 200  # by now it has read what came before

        process.process.send_signal(number)
        until(lambda: refuses(process.url))
        time.sleep(1)  # longer than idle connections are still listened to
        login.sendall(rest)
        answer = answer_over(login)
        assert json.load(answer)["error"] == "invalid_grant"
        assert answer.headers["connection"] == "close"
        assert process.process.wait(30) == 0


def refuses(url: str) -> bool:
    """Whether nobody accepts connections there any more."""
    try:
        socket.create_connection((httpx.URL(url).host, httpx.URL(url).port)).close()
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


async def test_without_a_file_descriptor_left(database: str, tmp_path: Path) -> None:
    """No connection can be accepted any more, not even for a last answer; what waits to be written is."""
    client = await made_client(database)
    with serving(tmp_path, environment(database)) as process:
        async with httpx.AsyncClient(base_url=process.url) as http:
            answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=client.auth)
            assert answer.status_code == 200
            leave_no_descriptor(process.process.pid)
            assert await asyncio.to_thread(process.stop) == 0, process.written()
    assert "Traceback" not in process.written()
    async with directories(settings_of(database)) as directory:
        assert await directory.store.audit.page(event="token.issued")


def leave_no_descriptor(pid: int) -> None:
    """Has a process open nothing more until it closes something."""
    taken = {int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in itertools.count() if number not in taken)
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))


def test_an_error_that_nobody_has_foreseen() -> None:
    """It is shown, and does not keep from being written what waits."""
    program = [sys.executable, "-W", "error", "-m", "tests.operation.broken"]
    root = Path(__file__).parents[2]
    answer = subprocess.run(program, cwd=root, capture_output=True, text=True, timeout=30, check=False)
    assert answer.returncode == 1
    assert answer.stdout == "everything is written\n"
    assert "RuntimeError: broken" in answer.stderr
