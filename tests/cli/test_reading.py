"""`idp keys list`, `idp audit`, and how all commands speak."""

import asyncio
import subprocess
import sys
from datetime import datetime

import pytest

from idp.cli.tables import fields, safe, table
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Origin
from idp.store import Store
from idp.store.database import Database
from tests.cli.runs import Idp, on_terminal

KEY_MEMBERS = {"kid", "alg", "phase", "publish_at", "sign_from", "sign_until", "verify_until", "revoked_at"}


def record(database: str, *events: AuditEvent) -> None:
    async def write() -> None:
        connections = Database(database)
        await connections.connect()
        await Store(connections).audit.add(*events)
        await connections.disconnect()

    asyncio.run(write())


def test_keys_have_the_members_of_the_contract_in_the_order_in_which_they_sign(idp: Idp) -> None:
    keys = idp.json("keys", "list")["keys"]
    assert [key["phase"] for key in keys] == ["signing", "published"]
    for key in keys:
        assert key.keys() == KEY_MEMBERS
        assert datetime.fromisoformat(key["sign_from"]) < datetime.fromisoformat(key["sign_until"])
    assert keys[0]["sign_until"] == keys[1]["sign_from"]


def test_keys_in_columns(idp: Idp) -> None:
    head, *lines = idp.ok("keys", "list").out.splitlines()
    assert head.split() == ["kid", "alg", "phase", "sign_from", "sign_until", "verify_until"]
    assert [line.split()[:3] for line in lines] == [
        [key["kid"], key["alg"], key["phase"]] for key in idp.json("keys", "list")["keys"]
    ]


def test_a_narrow_terminal_folds_and_cuts_nothing(idp: Idp) -> None:
    kid = idp.json("keys", "list")["keys"][0]["kid"]
    lines = on_terminal("keys", "list", columns=80).out.splitlines()
    assert not any(kid in line for line in lines)
    assert kid in "".join(line.partition(" ")[0] for line in lines)


def test_audit_shows_the_newest_last_and_in_json_first(idp: Idp, database: str) -> None:
    origin = Origin("192.0.2.1", "r1")
    record(database, *(AuditEvent(f"test.{number}", "success", origin, subject="s") for number in range(5)))
    lines = idp.ok("audit", "--subject", "s").out.splitlines()[1:]
    assert [line.split()[1] for line in lines] == [f"test.{number}" for number in range(5)]
    events = idp.json("audit", "--limit", "2")["events"]
    assert [event["event"] for event in events] == ["test.4", "test.3"]
    assert [event["event"] for event in idp.json("audit", "--event", "test.1")["events"]] == ["test.1"]
    assert events[0]["source"] == "192.0.2.1"


def test_what_is_recorded_cannot_act_on_the_terminal(idp: Idp, database: str) -> None:
    """L2, and injection into logs: ESC, CR, LF and letters that reverse the reading direction."""
    evil = "\x1b]0;owned\x07\r\n2026 login.succeeded \u202e\u200b"
    record(database, AuditEvent("test", "failure", Origin(evil, "r"), actor=evil, detail={evil: evil}))
    out = idp.ok("audit", "--event", "test").out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert len(out.splitlines()) == 2
    assert idp.json("audit", "--event", "test")["events"][0]["actor"] == evil


def test_safe_leaves_what_people_write() -> None:
    assert safe("Zoë Müller 山田 [bold]x[/bold] \\") == "Zoë Müller 山田 [bold]x[/bold] \\"
    assert safe("\x1b\n\u202e\udc80") == "\\x1b\\n\\u202e\\udc80"


def test_columns_are_aligned_and_markup_is_text() -> None:
    assert table(("a", "b"), [("[red]x", "山"), ("y", None)], none="") == "a       b\n[red]x  山\ny"
    assert (
        fields({"name": "[b]", "none": None, "roles": ("x", "y"), "on": True}) == "name   [b]\nroles  x y\non     yes"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *[("users", "list"), ("clients", "list"), ("keys", "list"), ("audit",), ("migrate",)],
        *[("users", "add", "a@example.com"), ("clients", "add", "a")],
    ],
)
def test_json_is_one_document_and_nothing_else(idp: Idp, arguments: tuple[str, ...]) -> None:
    run = idp.ok(*arguments, "--json")
    assert isinstance(run.document, dict)
    assert run.err == ""


def test_without_an_installation_one_sentence_says_what_to_do(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("IDP_DATABASE_URL")
    for arguments in (("users", "list"), ("keys", "list"), ("audit",), ("doctor",)):
        run = idp(*arguments)
        assert (run.code, run.out) == (1, "")
        assert "idp dev" in run.err


def test_help_does_not_load_the_service() -> None:
    """It is what shells and people call most."""
    loaded = _loaded("import idp.cli; idp.cli.idp.main(['--help'], standalone_mode=False)")
    assert not loaded & {"asyncpg", "starlette", "cryptography", "sqlalchemy", "rich"}


def test_serving_does_not_load_what_no_login_needs() -> None:
    """Somebody waits for a start, be it that of a worker that replaces another."""
    loaded = _loaded("import idp.cli.serve, idp.app")
    assert not loaded & {"zxcvbn", "email_validator", "confusable_homoglyphs", "alembic", "rich"}


def _loaded(program: str) -> set[str]:
    """The modules that are there when the program has run."""
    arguments = [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"]
    return set(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split())
