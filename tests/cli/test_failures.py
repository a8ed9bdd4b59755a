"""What an operator reads when something outside of `idp` fails: one sentence, and the right thing to do."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import pytest

from tests.cli.runs import PROGRAM, Idp

STRANGER = "pg_monitor"
"""A role of every PostgreSQL that has no rights in our tables."""


def with_parameter(database: str, parameter: str) -> str:
    return f"{database}{'&' if '?' in database else '?'}{parameter}"


def said(idp: Idp, *arguments: str | Path) -> str:
    """The one line on standard error of a run that fails."""
    run = idp(*arguments)
    (line,) = run.err.splitlines()
    assert (run.code, run.out) == (1, "")
    return line


@pytest.fixture
def stranger(idp: Idp, environment: pytest.MonkeyPatch, database: str) -> Idp:
    """The command, in a role that may use nothing."""
    environment.setenv("IDP_DATABASE_URL", with_parameter(database, f"role={STRANGER}"))
    return idp


def test_a_role_without_rights_is_told_which_role_needs_which(stranger: Idp) -> None:
    line = said(stranger, "users", "list")
    assert line.startswith("idp: the database refuses: permission denied")
    assert "give the one that serves its rights" in line


def test_doctor_does_not_call_that_unreachable(stranger: Idp) -> None:
    run = stranger("doctor", "--json")
    (check,) = (check for check in run.document["checks"] if check["name"] == "database")
    assert (run.code, check["status"]) == (1, "fail")
    assert check["message"].startswith("the database refuses: permission denied")
    assert "Migrate with the role that owns the tables" in check["advice"]


def test_a_role_that_may_not_migrate(idp: Idp, environment: pytest.MonkeyPatch, empty_database: str) -> None:
    async def close_schema() -> None:  # before PostgreSQL 15 everybody may create tables
        connection = await asyncpg.connect(empty_database)
        await connection.execute("revoke create on schema public from public")
        await connection.close()

    asyncio.run(close_schema())
    environment.setenv("IDP_DATABASE_URL", with_parameter(empty_database, f"role={STRANGER}"))
    assert "Migrate with the role that owns the tables" in said(idp, "migrate")


@pytest.mark.parametrize("command", [("users", "add", "a@example.com"), ("migrate",)])
def test_a_replica(
    command: tuple[str, ...], idp: Idp, environment: pytest.MonkeyPatch, database: str, empty_database: str
) -> None:
    url = empty_database if command == ("migrate",) else database
    environment.setenv("IDP_DATABASE_URL", with_parameter(url, "default_transaction_read_only=on"))
    assert "Let IDP_DATABASE_URL name the primary" in said(idp, *command)


@pytest.mark.parametrize("command", [("users", "list"), ("migrate",)])
def test_a_database_that_is_away(command: tuple[str, ...], idp: Idp, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IDP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    line = said(idp, *command)
    assert line.startswith("idp: the database cannot be reached: ")
    assert line.endswith(". Check that PostgreSQL runs and that IDP_DATABASE_URL is right.")


def test_a_folder_that_cannot_be_is_named_and_no_database_blamed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    run = subprocess.run(
        [PROGRAM, "dev", "--port", "0", "--data-dir", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert run.stderr == (
        f"idp: {folder} cannot be used: Not a directory. See to its place, its owner and its permissions.\n"
    )
