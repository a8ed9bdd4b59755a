"""`--workers N`: one that dies is replaced, SIGHUP replaces all, and none outlives the service."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil  # types-psutil is not among the pins
import pytest

from idp.cli.workers import next_pause
from tests.operation.serving import Process, answer_over, environment, serving, some_of_a_login, until

NOT_ALL = "not all workers were replaced: a new one did not start"


def test_metrics_are_summed(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(database), "--workers", "2") as process, unconnected(process.url) as http:
        for _ in range(60):
            assert http.get("/healthz").status_code == 200
        for _ in range(6):  # whoever is asked, once the others have counted too
            await_counted(http, 60)


def test_one_that_dies_is_replaced(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(database), "--workers", "2") as process:
        parent = psutil.Process(process.process.pid)
        first = children(parent)
        assert len(first) == 2
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        await_told(process, "worker died")
        until(lambda: len(children(parent) - {victim}) == 2)
        assert httpx.get(f"{process.url}/healthz").status_code == 200
        assert process.stop() == 0


async def test_sighup_replaces_them_without_a_failed_request(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(database), "--workers", "2") as process:
        parent = psutil.Process(process.process.pid)
        first = children(parent)
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
            over = asyncio.Event()
            load = [asyncio.create_task(_ask_until(over, http)) for _ in range(8)]
            parent.send_signal(signal.SIGHUP)
            while "the workers were replaced" not in process.written():  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.05)
            while first & children(parent):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            over.set()
            assert set(await asyncio.gather(*load)) == {200}
        assert len(parent.children()) == 2
        assert process.stop() == 0


def test_a_new_one_that_cannot_start_replaces_nobody(database: str, tmp_path: Path) -> None:
    """A file with a secret was changed, and not well: the workers that serve go on, and as many as before."""
    secret = tmp_path / "pepper"
    variables = environment(database)
    pepper = variables.pop("IDP_PASSWORD_PEPPER")
    secret.write_text(pepper)
    variables["IDP_PASSWORD_PEPPER_FILE"] = str(secret)
    with serving(tmp_path, variables, "--workers", "2") as process:
        parent = psutil.Process(process.process.pid)
        first = children(parent)
        secret.write_text("short")
        parent.send_signal(signal.SIGHUP)
        await_told(process, NOT_ALL)
        until(lambda: children(parent) == first)
        assert "IDP_PASSWORD_PEPPER" in process.written()
        assert httpx.get(f"{process.url}/healthz").status_code == 200

        secret.write_text(pepper)
        parent.send_signal(signal.SIGHUP)
        await_told(process, "the workers were replaced")
        await_others(parent, first)
        assert "worker died" not in process.written()
        assert process.stop() == 0


def test_the_second_new_one_cannot_start(tmp_path: Path) -> None:
    """What is said of the others is true."""
    with idle(tmp_path, 3, failing=4) as process:  # the slots of the first are 0, 1 and 2
        parent = psutil.Process(process.process.pid)
        first = children(parent)
        parent.send_signal(signal.SIGHUP)
        await_told(process, NOT_ALL)
        until(lambda: len(children(parent)) == 3)
        [line] = told(process, NOT_ALL)
        assert line["replaced"] == len(children(parent) - first) == 1
        assert line["go_on"] == len(children(parent) & first) == 2
        assert told(process, "worker died") == []
        assert process.stop() == 0


def test_sighup_while_one_still_drains(database: str, tmp_path: Path) -> None:
    """It is replaced once, however often they all are."""
    with serving(tmp_path, environment(database), "--workers", "2") as process:
        parent = psutil.Process(process.process.pid)
        first = children(parent)
        with some_of_a_login(process.url) as (login, rest):
            port = login.getsockname()[1]
            until(lambda: any(port in ports(child) for child in parent.children()))
            for times in (1, 2):
                parent.send_signal(signal.SIGHUP)
                await_told(process, "the workers were replaced", times)
                assert len(children(parent) & first) >= 1, "it drains"
            login.sendall(rest)
            assert json.load(answer_over(login))["error"] == "invalid_grant"
        until(lambda: len(children(parent)) == 2)
        assert not children(parent) & first
        assert process.stop() == 0


def test_sigterm_twice(database: str, tmp_path: Path) -> None:
    with (
        serving(tmp_path, environment(database), "--workers", "2") as process,
        some_of_a_login(process.url) as (login, rest),
    ):
        assert httpx.get(f"{process.url}/healthz").status_code == 200
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.process.send_signal(number)
            time.sleep(0.2)  # the same signal twice at once would be one
        login.sendall(rest)
        assert process.process.wait(30) == 0


def test_one_that_keeps_dying_is_replaced_ever_later(tmp_path: Path) -> None:
    with idle(tmp_path, 1) as process:
        parent = psutil.Process(process.process.pid)
        for times in range(1, 8):
            [victim] = children(parent)
            os.kill(victim, signal.SIGKILL)
            await_told(process, "worker died", times)
            await_others(parent, {victim})
        assert [line["replaced_in"] for line in told(process, "worker died")] == [1, 2, 4, 8, 16, 30, 30]
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("pause", "lived", "expected"),
    [
        (0, 0, 1),
        (0, 9.9, 1),
        (0, 10, 1),
        (1, 0, 2),
        (1, 9.9, 2),
        (8, 9.9, 16),
        (8, 10, 1),
        (16, 0, 30),
        (30, 9.9, 30),
        (30, 10, 1),
        (30, 86_400, 1),
    ],
)
def test_the_pause_doubles_while_they_die_young(pause: float, lived: float, expected: float) -> None:
    assert next_pause(pause, pause + lived) == expected


def test_metrics_outlive_the_workers(database: str, tmp_path: Path) -> None:
    """What each has counted stays, in files that are no more than the workers that live at once."""
    variables = environment(database, TMPDIR=str(tmp_path))
    with serving(tmp_path, variables, "--workers", "2") as process, unconnected(process.url) as http:
        parent = psutil.Process(process.process.pid)
        asked = 0
        for replace in (kill_all, hang_up, hang_up, hang_up, kill_all, None):
            for _ in range(10):
                assert http.get("/healthz").status_code == 200
            asked += 10
            await_counted(http, asked)
            if replace:
                before = children(parent)
                replace(parent)
                await_others(parent, before)
        assert 1 <= len([*tmp_path.glob("idp-metrics-*/counter_*.db")]) <= 4  # two, and their successors beside them
        assert process.stop() == 0


def kill_all(parent: psutil.Process) -> None:
    for child in parent.children():
        child.kill()


def hang_up(parent: psutil.Process) -> None:
    parent.send_signal(signal.SIGHUP)


def test_none_outlives_the_parent(database: str, tmp_path: Path) -> None:
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


def unconnected(url: str) -> httpx.Client:
    """Makes a connection for each request, so that all workers get some."""
    return httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


def await_counted(http: httpx.Client, requests: int) -> None:
    line = f'idp_http_requests_total{{method="GET",route="/healthz",status="200"}} {requests}.0'
    until(lambda: line in http.get("/metrics").text)


def await_others(parent: psutil.Process, before: set[int]) -> None:
    """Waits until there are as many others, and none of those before."""
    until(lambda: len(children(parent)) == len(before) and not children(parent) & before)


def await_told(process: Process, event: str, times: int = 1) -> None:
    until(lambda: len(told(process, event)) == times)


def children(parent: psutil.Process) -> set[int]:
    return {child.pid for child in parent.children()}


def ports(process: psutil.Process) -> set[int]:
    """The ports of those who are connected with it."""
    connections = process.net_connections("tcp")
    return {connection.raddr.port for connection in connections if connection.status == psutil.CONN_ESTABLISHED}


@contextlib.contextmanager
def idle(folder: Path, workers: int, *, failing: int = -1) -> Iterator[Process]:
    """Workers that do nothing, while the block runs. That of the slot `failing` cannot start."""
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.operation.idle", str(workers), str(failing)],
            cwd=Path(__file__).parents[2],
            stdout=file,
            stderr=file,
        )
    try:
        until(lambda: "all idle" in output.read_text())
        yield Process(process, output)
    finally:
        process.kill()
        process.wait()


def told(process: Process, event: str) -> list[dict[str, Any]]:
    """The log's lines of an event."""
    lines = (line for line in process.written().splitlines() if line.startswith("{"))
    return [line for line in map(json.loads, lines) if line["event"] == event]
