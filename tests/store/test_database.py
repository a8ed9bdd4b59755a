"""What `Database` promises of its transactions, and that nothing else uses the package behind it."""

import ast
import asyncio
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

import idp
from idp.store.connection import OUTAGES
from idp.store.database import RETRYABLE, Connection, Database, DatabaseUnavailable, TransactionAborted
from tests.store.observing import NAME, assert_whole, idle, observing, opened
from tests.store.relay import relayed


async def test_a_commit_that_fails_costs_no_connection(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await database.execute("create table t (n int primary key deferrable initially deferred)")

        async def twice(connection: Connection) -> None:
            await connection.execute("insert into t values (1)")
            await connection.execute("insert into t values (1)")

        for _ in range(20):
            with pytest.raises(asyncpg.UniqueViolationError):
                await database.transact(twice)
        assert await database.fetch_all("select n from t") == []
        await assert_whole(database, observer)


async def test_a_begin_that_fails_costs_no_connection(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        for _ in range(20):
            with pytest.raises(asyncpg.PostgresSyntaxError):
                async with database.transaction(isolation="bogus"):  # type: ignore[arg-type]
                    pytest.fail("it began")
        await assert_whole(database, observer)


async def test_a_statement_that_fails_costs_no_connection(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        for _ in range(20):
            with pytest.raises(asyncpg.DivisionByZeroError):
                await database.fetch_one("select 1 / 0")
        await assert_whole(database, observer)


async def test_commit_never_pretends(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await database.execute("create table t (n int)")

        async def swallow(connection: Connection) -> None:
            await connection.execute("insert into t values (1)")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await connection.fetch_one("select 1 / 0")

        with pytest.raises(TransactionAborted):
            await database.transact(swallow)
        assert await database.fetch_all("select n from t") == []
        await assert_whole(database, observer)


async def test_fifty_contending_increments_are_fifty(empty_database: str) -> None:
    async with opened(empty_database, acquire=20) as database, observing(empty_database) as observer:
        await database.execute("create table counter (n int)")
        await database.execute("insert into counter values (0)")

        async def increment(connection: Connection) -> None:
            row = await connection.fetch_one("select n from counter")
            assert row
            await connection.execute("update counter set n = $1", row["n"] + 1)

        await asyncio.gather(*(database.transact(increment, isolation="serializable") for _ in range(50)))
        row = await database.fetch_one("select n from counter")
        assert row
        assert row["n"] == 50
        await assert_whole(database, observer)


async def test_a_deadlock_ends_with_both_done(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await database.execute("create table t (id int, n int)")
        await database.execute("insert into t values (1, 0), (2, 0)")
        attempts, both = [], asyncio.Barrier(2)

        async def cross(connection: Connection, first: int, second: int) -> None:
            attempts.append(first)
            await connection.execute("set local deadlock_timeout = '10ms'")
            await connection.execute("update t set n = n + 1 where id = $1", first)
            if len(attempts) <= 2:
                await both.wait()
            await connection.execute("update t set n = n + 1 where id = $1", second)

        await asyncio.gather(
            database.transact(lambda connection: cross(connection, 1, 2)),
            database.transact(lambda connection: cross(connection, 2, 1)),
        )
        assert [row["n"] for row in await database.fetch_all("select n from t")] == [2, 2]
        assert len(attempts) >= 3
        await assert_whole(database, observer)


def test_only_what_certainly_had_no_effect_is_tried_again() -> None:
    rolled_back = {"40001", "40P01"}  # PostgreSQL manual, appendix A; 40003 would mean: perhaps
    states = {error.sqlstate for error in RETRYABLE if error is not asyncpg.InvalidCachedStatementError}
    assert states == rolled_back
    assert not set(RETRYABLE) & set(OUTAGES)


async def test_a_commit_without_an_answer_is_not_tried_again(empty_database: str) -> None:
    """It may have happened; and here it has."""
    async with relayed(empty_database) as (relay, dsn), opened(dsn) as database:
        await database.execute("create table t (n int)")
        attempts = []

        async def insert(connection: Connection) -> None:
            attempts.append(1)
            await connection.execute("insert into t values (1)")
            relay.cut_answer_to(b"COMMIT")

        with pytest.raises(DatabaseUnavailable):
            await database.transact(insert)
        assert len(attempts) == 1
        row = await database.fetch_one("select count(*) as n from t")
        assert row
        assert row["n"] == 1


async def test_a_migration_under_a_prepared_statement_is_not_noticed(empty_database: str) -> None:
    async with opened(empty_database, connections=1) as database, observing(empty_database) as observer:
        await database.execute("create table t (n int)")
        await database.execute("insert into t values (1)")

        async def read(connection: Connection) -> object:
            row = await connection.fetch_one("select n from t")
            return row and row["n"]

        assert await database.transact(read) == 1
        await observer.session.execute("alter table t alter n type bigint")
        assert await database.transact(read) == 1


async def test_connections_go_round_last_in_first_out(empty_database: str) -> None:
    async with opened(empty_database) as database:

        async def pid(sleep: float = 0) -> int:
            row = await database.fetch_one("select pg_backend_pid() as pid, pg_sleep($1)", sleep)
            assert row
            return int(row["pid"])

        *_, last = await asyncio.gather(pid(), pid(), pid(0.05))
        assert database.connections == (3, 0)
        assert {await pid() for _ in range(10)} == {last}


async def test_execute_counts_rows(empty_database: str) -> None:
    async with opened(empty_database) as database:
        assert await database.execute("create table t (n int)") == 0
        assert await database.execute("insert into t select generate_series(1, $1)", 12) == 12
        assert await database.execute("update t set n = 0 where n > $1", 10) == 2
        assert await database.execute("delete from t where n = 99") == 0


class TestDsn:
    """One DSN means one thing everywhere: as `psql` would read it."""

    async def test_ssl_is_not_waived(self, empty_database: str) -> None:
        async with relayed(empty_database) as (_, dsn), opened(f"{dsn}?sslmode=require") as database:
            with pytest.raises(DatabaseUnavailable, match="SSL"):
                await database.fetch_one("select 1")

    async def test_the_application_has_a_name(self, empty_database: str) -> None:
        async with opened(empty_database) as database:
            assert await _show(database, "application_name") == NAME

    async def test_the_name_in_the_dsn_wins(self, empty_database: str) -> None:
        async with opened(f"{empty_database}&application_name=mine") as database:
            assert await _show(database, "application_name") == "mine"

    @pytest.mark.parametrize("option", ["search_path=elsewhere", "options=" + quote("-c search_path=elsewhere")])
    async def test_server_settings_arrive(self, option: str, empty_database: str) -> None:
        async with opened(f"{empty_database}&{option}") as database:
            assert await _show(database, "search_path") == "elsewhere"

    async def test_a_refusal_of_the_server_is_an_outage(self, empty_database: str) -> None:
        for dsn in (empty_database.replace("/test_", "/no_test_"), empty_database.replace("postgres@", "nobody@")):
            async with opened(dsn) as database:
                with pytest.raises(DatabaseUnavailable):
                    await database.fetch_one("select 1")


async def _show(database: Database, setting: str) -> str:
    row = await database.fetch_one("select current_setting($1) as value", setting)
    assert row
    return str(row["value"])


def test_nothing_else_touches_the_package() -> None:
    """Its transactions leak (see `idp.store.database`), so one file guards all that is used of it."""
    root = Path(idp.__file__).parent
    users = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if _imports_databases(path)}
    assert users == {"store/database.py"}
    guard = ast.parse((root / "store/database.py").read_text())
    used = {
        node.attr
        for node in ast.walk(guard)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("databases", "self._databases")
    }
    assert used == {"Database", "connect", "disconnect", "connection"}


def _imports_databases(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return any(name.partition(".")[0] == "databases" for name in names)


async def test_a_busy_database_is_idle_again(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await asyncio.gather(*(database.fetch_one("select $1::int", n) for n in range(500)))
        await idle(database)
        assert database.connections == (4, 0)
        await assert_whole(database, observer)
