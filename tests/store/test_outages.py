"""The database dies, hangs, restarts or is full: everybody is told in time, and all is well again by itself."""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from idp.embedded import attach
from idp.store.database import Connection, Database, DatabaseUnavailable
from tests.embedded.clusters import await_stop, cluster_of, postmaster_of
from tests.store.observing import assert_whole, observing, opened
from tests.store.relay import relayed

SOON = 5.0
"""Seconds that tell an answer from a wait for what hangs (10 s and more), on a busy machine too."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails when the block takes longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@pytest.mark.parametrize("moment", ["before the first statement", "between statements", "before the commit"])
async def test_a_connection_killed_in_a_transaction(moment: str, empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await database.execute("create table t (n int)")

        async def work(connection: Connection) -> None:
            for now in ("before the first statement", "between statements"):
                if moment == now:
                    await observer.kill_all()
                await connection.execute("insert into t values (1)")
            await observer.kill_all()

        for _ in range(5):
            with pytest.raises(DatabaseUnavailable):
                await database.transact(work)
        assert await database.fetch_all("select n from t") == []
        await assert_whole(database, observer)


async def test_a_connection_killed_in_a_statement(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        for _ in range(5):
            sleeping = asyncio.create_task(database.fetch_one("select pg_sleep(10)"))
            await observer.until("query like '%sleep%' and state = 'active'")
            await observer.kill_all()
            with pytest.raises(DatabaseUnavailable):
                await sleeping
        await assert_whole(database, observer)


async def test_connections_killed_while_idle_are_replaced_unnoticed(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await assert_whole(database, observer)
        assert await observer.kill_all() == 4
        await asyncio.sleep(0.05)  # the news arrives
        await assert_whole(database, observer)


async def test_the_work_goes_on_with_a_dead_connection_and_is_told_again(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:

        async def persist(connection: Connection) -> None:
            await observer.kill_all()
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable):
                    await connection.fetch_one("select 1")

        with pytest.raises(DatabaseUnavailable):
            await database.transact(persist)
        await assert_whole(database, observer)


async def test_who_waits_gets_a_new_connection_for_a_dead_one(empty_database: str) -> None:
    async with opened(empty_database, connections=2) as database, observing(empty_database) as observer:
        holders = [asyncio.create_task(database.fetch_one("select pg_sleep(10)")) for _ in range(2)]
        await observer.until("query like '%sleep%' and state = 'active'")
        waiters = [asyncio.create_task(database.fetch_one("select 1")) for _ in range(20)]
        await asyncio.sleep(0.05)
        await observer.kill_all()
        with within(SOON):
            await asyncio.gather(*waiters)
        for holder in holders:
            with pytest.raises(DatabaseUnavailable):
                await holder


async def test_an_exhausted_pool_is_told_in_time(empty_database: str) -> None:
    async with opened(empty_database, connections=2, acquire=0.2) as database, observing(empty_database) as observer:
        over = asyncio.Event()

        async def hold(_: Connection) -> None:
            await over.wait()

        holders = [asyncio.create_task(database.transact(hold)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with within(SOON):
            for answer in await asyncio.gather(
                *(database.fetch_one("select 1") for _ in range(50)), return_exceptions=True
            ):
                assert isinstance(answer, DatabaseUnavailable)
        over.set()
        await asyncio.gather(*holders)
        await assert_whole(database, observer, connections=2)


async def test_a_closed_port_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dsn = f"postgresql://postgres@127.0.0.1:{unused.getsockname()[1]}/x"
        async with opened(dsn, acquire=0.8) as database:
            with within(SOON), pytest.raises(DatabaseUnavailable):
                await database.fetch_one("select 1")


async def test_a_silent_network_is_told_in_time_and_heals(empty_database: str) -> None:
    async with relayed(empty_database) as (relay, dsn), opened(dsn, acquire=0.3, connect=0.5, command=0.5) as database:
        relay.stall()
        with within(SOON):
            answers = await asyncio.gather(*(database.fetch_one("select 1") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
        relay.flow()
        await _answers_again(database)
        relay.stall()  # now there are connections, and they hang
        with within(SOON), pytest.raises(DatabaseUnavailable):
            await database.fetch_one("select 1")
        relay.flow()
        await _answers_again(database)


async def _answers_again(database: Database) -> None:
    deadline = time.monotonic() + 3
    while True:
        try:
            assert await database.fetch_one("select 1")
        except DatabaseUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_statement_has_a_limit_and_ends_at_the_server_too(empty_database: str) -> None:
    async with opened(empty_database, connections=1, command=0.2) as database, observing(empty_database) as observer:
        with within(SOON), pytest.raises(DatabaseUnavailable):
            await database.fetch_one("select pg_sleep(10)")
        assert await database.fetch_one("select 1")
        assert await observer.sessions("query like '%sleep%' and state = 'active'") == 0


async def test_a_transaction_of_a_paused_instance_frees_its_locks(empty_database: str) -> None:
    async with opened(empty_database, idle_in_transaction=1.0) as database, observing(empty_database) as observer:
        await database.execute("create table t (n int)")

        async def pause(connection: Connection) -> None:
            await connection.execute("lock table t")
            await observer.session.execute("set lock_timeout = '10s'")
            await observer.session.execute("insert into t values (1)")
            await connection.execute("insert into t values (2)")

        with pytest.raises(DatabaseUnavailable):
            await database.transact(pause)
        assert [row["n"] for row in await database.fetch_all("select n from t")] == [1]
        await assert_whole(database, observer)


async def test_after_a_failover_the_demoted_primary_is_left(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        name = await observer.session.fetchval("select current_database()")
        await observer.session.execute("create table t (n int)")
        await observer.session.execute(f"alter database {name} set default_transaction_read_only = on")
        with pytest.raises(DatabaseUnavailable):
            await database.execute("insert into t values (1)")
        await observer.session.execute(f"alter database {name} set default_transaction_read_only = off")
        assert await database.execute("insert into t values (1)") == 1


async def test_a_connection_that_was_idle_for_long_is_not_trusted(empty_database: str) -> None:
    async with relayed(empty_database) as (_, dsn), opened(dsn, idle=0.1) as database:
        first = await database.fetch_one("select pg_backend_pid() as pid")
        assert first == await database.fetch_one("select pg_backend_pid() as pid")
        await asyncio.sleep(0.15)
        assert first != await database.fetch_one("select pg_backend_pid() as pid")


@pytest.fixture
def own_home() -> Iterator[Path]:
    """A home folder for a server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="idp-store-") as folder:
        Path(folder).chmod(0o711)  # root's server runs as another account
        home = Path(folder) / "home"
        yield home
        await_stop(cluster_of(home))


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGINT])
async def test_a_restart_of_the_server_is_survived(death: signal.Signals, own_home: Path) -> None:
    with contextlib.ExitStack() as servers:
        dsn = await asyncio.to_thread(servers.enter_context, attach(own_home))
        async with opened(dsn) as database:
            await asyncio.gather(*(database.fetch_one("select 1") for _ in range(10)))
            busy = asyncio.create_task(database.fetch_one("select pg_sleep(10)"))
            await asyncio.sleep(0.05)
            postmaster = postmaster_of(cluster_of(own_home))
            os.kill(postmaster.pid, death)
            with pytest.raises(DatabaseUnavailable):
                await busy
            await asyncio.to_thread(postmaster.wait, 10)
            with within(SOON), contextlib.suppress(DatabaseUnavailable):  # unless it is back already
                await database.fetch_one("select 1")
            assert await asyncio.to_thread(servers.enter_context, attach(own_home)) == dsn
            with within(SOON):
                await asyncio.gather(*(database.fetch_one("select 1") for _ in range(10)))
        await asyncio.to_thread(servers.close)
