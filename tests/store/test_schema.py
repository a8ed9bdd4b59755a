"""Migrations: applied once, whole or not at all, from a wheel as from the source; and who may serve which schema."""

import asyncio
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from idp.store import migrations, schema
from idp.store.schema import SchemaMismatch, SchemaVersion, check
from tests.store.observing import observing

CODE = schema.code_revision()
NEXT = "9999"
ROOT = Path(__file__).parents[2]

MIGRATE = """
import asyncio, sys
from idp.store import migrations, schema

migrations._LOCK_TIMEOUT = sys.argv[3]

async def main():
    print(*await asyncio.gather(*(schema.migrate(sys.argv[1]) for _ in range(int(sys.argv[2])))))

try:
    asyncio.run(main())
except schema.SchemaMismatch as error:
    sys.exit(str(error))
"""

NEXT_MIGRATION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "{next}", "{code}", None, None

def upgrade():
    for statement in {statements}:
        op.execute(statement)
"""


class Installation:
    """An installed wheel, and processes that run what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add_migration(self, *statements: str) -> None:
        text = NEXT_MIGRATION.format(next=NEXT, code=CODE, statements=statements)
        (self.folder / "idp/_migrations/versions/9999_next.py").write_text(text)

    def start(self, dsn: str, *, times: int = 1, lock_timeout: str = "3s") -> "subprocess.Popen[str]":
        """Migrates `times` at once in one process."""
        return subprocess.Popen(
            [sys.executable, "-P", "-c", MIGRATE, dsn, str(times), lock_timeout],
            env={"PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def migrate(self, dsn: str, *, lock_timeout: str = "3s") -> str:
        """What the process says: the new revision, or why not."""
        out, err = self.start(dsn, lock_timeout=lock_timeout).communicate(timeout=30)
        return (out or err).strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def installation(wheel: Path, tmp_path: Path) -> Installation:
    """The wheel, unpacked in a place with a name that asks for trouble."""
    folder = tmp_path / "100% new"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return Installation(folder)


def test_the_wheel_brings_the_migrations_and_no_package_of_that_name(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    versions = {f"idp/_migrations/versions/{path.name}" for path in (ROOT / "migrations/versions").glob("*.py")}
    assert versions
    assert versions | {"idp/_migrations/env.py", "idp/py.typed", "keys/keyring.py"} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"idp", "keys"}


async def test_many_at_once_apply_it_once(installation: Installation, empty_database: str) -> None:
    starters = [installation.start(empty_database, times=2) for _ in range(4)]
    answers = []
    for starter in starters:
        out, err = await asyncio.to_thread(starter.communicate, timeout=30)
        assert starter.returncode == 0, err
        answers += out.split()
    assert sorted(answers) == sorted([CODE, *["None"] * 7])
    assert (await schema.read(empty_database)).revision == CODE


async def test_a_killed_migration_leaves_nothing_and_the_next_completes_it(
    installation: Installation, database: str
) -> None:
    installation.add_migration("create table half (n int)", "select pg_sleep(1)", "create table other_half (n int)")
    async with observing(database) as observer:
        migrating = installation.start(database)
        while not await observer.session.fetchval(
            "select count(*) from pg_stat_activity where query like '%sleep%' and state = 'active' "
            "and pid <> pg_backend_pid()"
        ):
            assert migrating.poll() is None, migrating.communicate()
            await asyncio.sleep(0.01)
        migrating.send_signal(signal.SIGKILL)
        await asyncio.to_thread(migrating.communicate)
        assert await observer.session.fetchval("select to_regclass('half')") is None
        assert (await schema.read(database)).revision == CODE
        assert await asyncio.to_thread(installation.migrate, database) == NEXT
        assert await observer.session.fetchval("select count(*) from half, other_half") == 0


async def test_a_migration_does_not_hold_up_the_service_behind_a_long_query(
    installation: Installation, database: str
) -> None:
    installation.add_migration("alter table users add column next text")
    async with observing(database) as observer, observer.session.transaction():
        await observer.session.execute("lock table users in access share mode")  # as a backup does
        said = await asyncio.to_thread(installation.migrate, database, lock_timeout="100ms")
        assert said.startswith("The schema was not changed")
    assert await asyncio.to_thread(installation.migrate, database) == NEXT


async def test_at_head_it_waits_for_no_lock(database: str) -> None:
    async with observing(database) as observer:
        await observer.session.execute("select pg_advisory_lock($1)", migrations._LOCK)
        async with asyncio.timeout(10):
            assert await schema.migrate(database) is None


async def test_who_waited_behind_a_newer_version_leaves_its_schema_alone(empty_database: str) -> None:
    async with observing(empty_database) as observer:
        await observer.session.execute("select pg_advisory_lock($1)", migrations._LOCK)
        waiting = asyncio.create_task(schema.migrate(empty_database))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await _pretend(observer.session, NEXT, CODE)
        await observer.session.execute("select pg_advisory_unlock($1)", migrations._LOCK)
        assert await waiting is None


async def test_a_newer_schema_that_is_not_for_us_is_refused(empty_database: str) -> None:
    async with observing(empty_database) as observer:
        await _pretend(observer.session, NEXT, NEXT)
    with pytest.raises(SchemaMismatch, match="newer version"):
        await schema.migrate(empty_database)


async def _pretend(session: "asyncpg.Connection[asyncpg.Record]", revision: str, minimum: str) -> None:
    await session.execute(
        f"""create table alembic_version (version_num text); insert into alembic_version values ('{revision}');
            create table schema_info (minimum_revision text); insert into schema_info values ('{minimum}')"""  # noqa: S608
    )


@pytest.mark.parametrize(
    "version",
    [
        SchemaVersion("0003", "0001"),
        SchemaVersion("0003", "0003"),
        SchemaVersion("0003"),
        SchemaVersion("0004", "0002"),
        SchemaVersion("0004", "0003"),
    ],
)
def test_may_serve(version: SchemaVersion) -> None:
    check(version, "0003")


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (SchemaVersion(None), "no schema yet. Run `idp migrate`"),
        (SchemaVersion("0002", "0001"), "at revision 0002, this version needs 0003. Run `idp migrate`"),
        (SchemaVersion("0004", "0004"), "needs code of revision 0004 or later; .* Start a newer version"),
        (SchemaVersion("0004"), "needs code of revision 0004 or later; .* Start a newer version"),
    ],
)
def test_may_not_serve(version: SchemaVersion, advice: str) -> None:
    with pytest.raises(SchemaMismatch, match=advice):
        check(version, "0003")


def test_the_files_of_migrations_begin_with_their_revisions() -> None:
    """By which the code knows its own revision without Alembic."""
    script = ScriptDirectory(str(schema.migrations_folder()))
    assert script.get_current_head() == CODE
    for revision in script.walk_revisions():
        assert Path(revision.path).name.startswith(f"{revision.revision}_")
