"""Whoever is killed: what was acknowledged is there again at the next attach."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil  # types-psutil is not among the pins
import pytest

from idp.embedded import EmbeddedPostgresError, attach, server
from idp.embedded.account import server_account
from idp.embedded.binaries import find_programs
from idp.embedded.locks import EXCLUSIVE, hold, is_held
from tests.embedded.clusters import (
    Client,
    await_end,
    await_stop,
    cluster_of,
    has_ended,
    postmaster_of,
    processes_naming,
    supervisor_of,
    value,
)

StartClient = Callable[[Path], Client]


@pytest.mark.parametrize("roles", ["client", "supervisor", "postmaster", "client supervisor postmaster"])
async def test_what_was_committed_survives_kill_9(kept_home: Path, start_client: StartClient, roles: str) -> None:
    client = start_client(kept_home)
    connection = await asyncpg.connect(client.dsn())
    await connection.execute("CREATE TABLE IF NOT EXISTS deed (name text)")
    await connection.execute("INSERT INTO deed VALUES ($1)", roles)
    cluster = cluster_of(kept_home)
    processes = {
        "client": psutil.Process(client.process.pid),
        "supervisor": supervisor_of(cluster),
        "postmaster": postmaster_of(cluster),
    }
    victims = [processes[role] for role in roles.split()]
    for victim in victims:
        victim.kill()
    for victim in victims:
        await_end(victim)
    with attach(kept_home) as dsn:
        assert await value(dsn, "SELECT count(*) FROM deed WHERE name = $1", roles) == 1
    connection.terminate()


async def test_a_server_that_recovers_is_waited_for(kept_home: Path) -> None:
    """The death of one session by SIGKILL makes PostgreSQL end all others and replay its log."""
    with attach(kept_home) as dsn:
        connection = await asyncpg.connect(dsn)
        os.kill(connection.get_server_pid(), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while psutil.pid_exists(connection.get_server_pid()):  # the postmaster has not buried it yet
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        with attach(kept_home) as again:
            assert await value(again, "SELECT 1") == 1
        connection.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_nothing_is_left_when_supervisor_and_users_are_killed(kept_home: Path, start_client: StartClient) -> None:
    client = start_client(kept_home)
    client.dsn()
    cluster = cluster_of(kept_home)
    postmaster = postmaster_of(cluster)
    supervisor_of(cluster).kill()
    client.kill()
    await_stop(cluster)
    assert has_ended(postmaster)


async def test_a_dead_supervisor_is_replaced_for_those_who_stay(kept_home: Path) -> None:
    with attach(kept_home) as dsn:
        dead = supervisor_of(cluster_of(kept_home))
        dead.kill()
        await_end(dead)
        deadline = time.monotonic() + 30
        while True:
            try:
                assert await value(dsn, "SELECT 1") == 1
                break
            except (OSError, asyncpg.PostgresError):
                assert time.monotonic() < deadline, "nobody started another one"
                await asyncio.sleep(0.1)


async def test_a_dead_postmaster_is_replaced_for_those_who_stay(kept_home: Path) -> None:
    with attach(kept_home) as dsn:
        dead = postmaster_of(cluster_of(kept_home))
        dead.kill()
        with attach(kept_home) as same:
            assert same == dsn
            assert await value(dsn, "SELECT 1") == 1
        assert postmaster_of(cluster_of(kept_home)) != dead


def test_a_start_that_was_killed_halfway_is_begun_anew(home: Path, start_client: StartClient) -> None:
    client = start_client(home)
    unfinished = home / "cluster" / "data.new" / "base"
    deadline = time.monotonic() + 10
    while not unfinished.exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for process in processes_naming(home):
        process.kill()
    client.kill()
    with attach(home):
        pass
    assert not unfinished.parent.exists()


async def test_stale_files_are_seen_through(kept_home: Path) -> None:
    with attach(kept_home) as dsn:
        pass
    cluster = cluster_of(kept_home)
    # As if our pid had been the postmaster's: it must neither keep the server from starting nor be signalled.
    cluster.postmaster_pid.write_text(f"{os.getpid()}\n{cluster.data}\n")
    cluster.socket_folder.mkdir(exist_ok=True)
    cluster.socket.with_name(f"{cluster.socket.name}.lock").write_text(f"{os.getpid()}\n")
    with attach(kept_home) as found:
        assert found == dsn
        assert await value(found, "SELECT 1") == 1


def test_an_orphaned_postmaster_is_interrupted(kept_home: Path) -> None:
    """Where the kernel does not do it, the next supervisor does: here for a child of our own."""
    with attach(kept_home):
        pass
    cluster, account = cluster_of(kept_home), server_account()
    with hold(cluster.server_lock, EXCLUSIVE, timeout=0) as lock:
        postmaster = server.start(cluster, find_programs(cluster.major), account, lock)
    assert is_held(cluster.server_lock)  # by the postmaster, with our descriptor closed
    while not server.is_ready(cluster):
        time.sleep(0.01)
    server.interrupt_orphan(cluster)
    assert postmaster.wait(10) == 0
    await_stop(cluster)


def test_the_log_holds_one_run(kept_home: Path) -> None:
    for _ in range(2):
        with attach(kept_home):
            pass
    assert cluster_of(kept_home).log.read_text().count("ready to accept connections") == 1


def test_a_server_that_cannot_start_says_why(kept_home: Path) -> None:
    with attach(kept_home):
        pass
    cluster = cluster_of(kept_home)
    setting = cluster.data / "postgresql.conf"
    good = setting.read_text()
    setting.write_text(good + "no_such_setting = 1\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"did not start \(.*FATAL:.*\): see .*server\.log"):
            attach(kept_home).__enter__()
    finally:
        setting.write_text(good)
    await_stop(cluster)


def test_a_wait_has_an_end(kept_home: Path) -> None:
    cluster = cluster_of(kept_home)
    with (
        hold(cluster.clients_lock, EXCLUSIVE, timeout=0),
        pytest.raises(EmbeddedPostgresError, match=r"not ready within 0\.1 s"),
    ):
        attach(kept_home, timeout=0.1).__enter__()
