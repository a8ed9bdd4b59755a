"""`idp doctor`: every fault that it knows is found, and comes with what to do."""

import asyncio
import base64
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg
import pytest

from idp.cli.checks import DatabaseFacts, Status, judge_clock, judge_database
from idp.cli.installation import create
from idp.cli.issuer_check import check_issuer
from idp.embedded import attach
from tests.cli.runs import Idp, Run
from tests.service import KEY_ENCRYPTION_KEY, Service

Answers = Mapping[str, tuple[int, object]]


def execute(database: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def statuses(run: Run) -> dict[str, str]:
    return {check["name"]: check["status"] for check in run.document["checks"]}


def found(run: Run, name: str) -> str:
    """All that is said under this name."""
    checks = [check for check in run.document["checks"] if check["name"] == name]
    return " ".join(f"{check['message']} {check['advice']}" for check in checks)


def test_a_good_installation_passes_every_check(idp: Idp, environment: pytest.MonkeyPatch, service: Service) -> None:
    environment.setenv("IDP_DATABASE_URL", service.settings.database_url)
    environment.setenv("IDP_ISSUER", service.settings.issuer)
    run = idp("doctor", "--json")
    assert (run.code, run.document["ok"]) == (0, True)
    names = ("settings", "database", "clock", "schema", "keys", "sealing", "issuer")
    assert statuses(run) == dict.fromkeys(names, "ok")
    assert all(line.startswith("ok") for line in idp.ok("doctor").out.splitlines())


def test_wrong_settings_are_reported_together(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IDP_KEY_ENCRYPTION_KEY", "short")
    environment.delenv("IDP_ISSUER")
    run = idp("doctor", "--json")
    assert (run.code, statuses(run)) == (1, {"settings": "fail"})
    assert "IDP_KEY_ENCRYPTION_KEY" in found(run, "settings")
    assert "IDP_ISSUER is not set" in found(run, "settings")


def test_strange_and_surprising_settings_are_warned_of(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IDP_ISUER", "x")
    environment.setenv("IDP_DEFAULT_CLIENT_ID", "x")
    run = idp("doctor", "--json")
    assert statuses(run)["settings"] == "warn"
    assert "IDP_ISUER is not a setting" in found(run, "settings")


def test_a_database_that_is_away_ends_the_examination(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IDP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    run = idp("doctor", "--json")
    assert (run.code, statuses(run)) == (1, {"settings": "ok", "database": "fail"})


def test_a_missing_schema(idp: Idp, environment: pytest.MonkeyPatch, empty_database: str) -> None:
    environment.setenv("IDP_DATABASE_URL", empty_database)
    run = idp("doctor", "--json")
    assert statuses(run)["schema"] == "fail"
    assert "idp migrate" in found(run, "schema")


def test_an_issuer_that_nobody_serves_fails_in_production(idp: Idp) -> None:
    run = idp("doctor", "--json")
    assert (run.code, statuses(run)["issuer"]) == (1, "fail")
    assert "idp serve" in found(run, "issuer")


def test_a_folder_of_idp_dev_is_examined_too(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    """An explicit --data-dir wins; that nobody serves it just now is no fault."""
    environment.setenv("IDP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    with tempfile.TemporaryDirectory(prefix="idp-doctor-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's server runs as another account, which must get through
        create(folder)
        with attach(folder / "postgres"):
            idp.ok("migrate", "--data-dir", folder)
            run = idp.ok("doctor", "--json", "--data-dir", folder, "--issuer", "http://localhost:9")
    assert statuses(run) == {
        **dict.fromkeys(("settings", "database", "clock", "schema"), "ok"),
        **dict.fromkeys(("keys", "issuer"), "warn"),
    }
    assert "idp dev" in found(run, "issuer")


def test_a_key_encryption_key_that_is_not_ours(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IDP_KEY_ENCRYPTION_KEY", base64.b64encode(b"x" * 32).decode())
    run = idp("doctor", "--json")
    assert statuses(run)["sealing"] == "fail"
    assert "IDP_KEY_ENCRYPTION_KEY" in found(run, "sealing")


def test_a_key_encryption_key_that_is_older(idp: Idp, environment: pytest.MonkeyPatch) -> None:
    both = [base64.b64encode(key).decode() for key in (b"x" * 32, KEY_ENCRYPTION_KEY)]
    environment.setenv("IDP_KEY_ENCRYPTION_KEY", ",".join(both))
    assert statuses(idp("doctor", "--json"))["sealing"] == "warn"


@pytest.mark.parametrize(
    ("statement", "name", "status"),
    [
        ("delete from signing_keys", "keys", "warn"),
        ("delete from signing_keys where sign_from > now()", "keys", "warn"),
        ("update signing_keys set revoked_at = now() - interval '1 second'", "keys", "fail"),
        ("update signing_keys set sealed = sealed || 'x'::bytea", "sealing", "fail"),
    ],
)
def test_keys_that_are_missing_or_damaged(idp: Idp, database: str, statement: str, name: str, status: str) -> None:
    execute(database, statement)
    assert statuses(idp("doctor", "--json"))[name] == status


def facts(**changes: object) -> DatabaseFacts:
    values = {"version": "18.1", "major": 18, "latency": 0.001, "ahead": 0.0, "read_only": False, "durable": True}
    return DatabaseFacts(**values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.OK),
        ({"latency": 0.1}, Status.WARN),
        ({"durable": False}, Status.WARN),
        ({"read_only": True}, Status.FAIL),
        ({"major": 12}, Status.FAIL),
    ],
)
def test_what_a_database_must_be_like(changes: dict[str, object], status: Status) -> None:
    check = judge_database(facts(**changes))
    assert (check.status, bool(check.advice)) == (status, status is not Status.OK)


@pytest.mark.parametrize(
    ("ahead", "status"), [(0.5, Status.OK), (-2, Status.WARN), (31, Status.FAIL), (-3600, Status.FAIL)]
)
def test_clocks_may_differ_by_what_verifiers_forgive(ahead: float, status: Status) -> None:
    check = judge_clock(ahead, skew=30)
    assert check.status is status
    assert ("behind" if ahead < 0 else "ahead") in check.message


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """A web server with these answers, `{issuer}` in them standing for its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answers[self.path]
            body = content if isinstance(content, str) else json.dumps(content)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body.replace("{issuer}", issuer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()


METADATA = {"issuer": "{issuer}", "jwks_uri": "{issuer}/keys"}
PLACE = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({PLACE: (200, METADATA), "/keys": (200, {"keys": [{"kid": "k1"}]})}, None),
        ({PLACE: (404, "")}, "404"),
        ({PLACE: (302, METADATA)}, "302"),
        ({PLACE: (200, "<html>")}, "not JSON"),
        ({PLACE: (200, [1])}, "not a JSON object"),
        ({PLACE: (200, METADATA | {"issuer": "{issuer}/"})}, "another issuer"),
        ({PLACE: (200, METADATA | {"jwks_uri": "file:///etc/passwd"})}, "not an address"),
        ({PLACE: (200, METADATA), "/keys": (200, {"keys": [{"kid": "k2"}]})}, "k1, is not in its key set"),
        ({PLACE: (200, METADATA), "/keys": (200, {"keys": None})}, "k1, is not in its key set"),
    ],
)
def test_an_issuer_must_serve_its_own_metadata_and_keys(answers: Answers, reason: str | None) -> None:
    """RFC 8414 §3.3."""
    with answering(answers) as issuer:
        check = check_issuer(issuer, "k1", unreachable=Status.WARN, advice="")
    assert check.status is (Status.OK if reason is None else Status.FAIL)
    assert reason is None or reason in check.message
