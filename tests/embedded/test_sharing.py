"""Any number of processes share one server, which lives exactly as long as somebody uses it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from idp.embedded import attach
from tests.embedded.clusters import (
    Client,
    await_end,
    await_stop,
    cluster_of,
    has_ended,
    postmaster_of,
    supervisor_of,
    value,
)

StartClient = Callable[[Path], Client]

IDENTITY = "SELECT system_identifier || ' ' || pg_postmaster_start_time() FROM pg_control_system()"


async def test_six_cold_starts_at_once_give_one_server(home: Path, start_client: StartClient) -> None:
    clients = [start_client(home) for _ in range(6)]
    identities = {await value(client.dsn(), IDENTITY) for client in clients}
    assert len(identities) == 1


def test_a_further_attach_starts_nothing(kept_home: Path) -> None:
    with attach(kept_home) as first:
        postmaster = postmaster_of(cluster_of(kept_home))
        with attach(kept_home) as second:
            assert postmaster_of(cluster_of(kept_home)) == postmaster
        assert first == second


async def test_who_leaves_early_takes_nothing_from_the_others(kept_home: Path, start_client: StartClient) -> None:
    leaving = start_client(kept_home)
    leaving.dsn()
    with attach(kept_home) as dsn:
        before = await value(dsn, IDENTITY)
        leaving.leave()
        await asyncio.sleep(0.3)  # longer than the supervisor takes to notice
        assert await value(dsn, IDENTITY) == before


def test_who_leaves_last_waits_for_the_end_of_the_server(kept_home: Path) -> None:
    with attach(kept_home):
        postmaster = postmaster_of(cluster_of(kept_home))
    assert has_ended(postmaster)


def test_the_server_stops_when_its_last_user_is_killed(kept_home: Path, start_client: StartClient) -> None:
    clients = [start_client(kept_home) for _ in range(2)]
    for client in clients:
        client.dsn()
    postmaster = postmaster_of(cluster_of(kept_home))
    for client in clients:
        client.kill()
    await_stop(cluster_of(kept_home))
    assert has_ended(postmaster)


async def test_ctrl_c_is_for_the_clients_only(kept_home: Path, start_client: StartClient) -> None:
    client = start_client(kept_home)
    dsn = client.dsn()
    before = await value(dsn, IDENTITY)
    os.killpg(client.process.pid, signal.SIGINT)  # what the terminal does to its foreground group
    await asyncio.sleep(0.3)
    assert await value(dsn, IDENTITY) == before


def test_a_supervisor_that_is_told_to_go_stops_the_server(kept_home: Path, start_client: StartClient) -> None:
    start_client(kept_home).dsn()
    supervisor, postmaster = (of(cluster_of(kept_home)) for of in (supervisor_of, postmaster_of))
    supervisor.terminate()
    await_end(supervisor)
    assert has_ended(postmaster)


@pytest.mark.parametrize("name", ["a b, 'c' \"d\" é % #", f"with a space and {'very ' * 30}long"])
async def test_any_path_will_do(folder: Path, name: str) -> None:
    with attach(folder / name) as dsn:
        assert await value(dsn, "SELECT 1") == 1


async def test_environment_variables_of_libpq_do_not_lead_astray(
    kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"PGPORT": "1", "PGHOST": "nowhere.invalid", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, content)
    with attach(kept_home) as dsn:
        assert await value(dsn, "SELECT 1") == 1
