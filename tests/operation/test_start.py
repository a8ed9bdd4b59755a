"""`idp serve` starts, or says in the clear why not: one sentence for each problem, and exit code 1."""

import base64
import os
import socket
from pathlib import Path

import httpx
import pytest

from tests.operation.serving import environment, refused, serving

ANOTHER_KEY = base64.b64encode(bytes(32)).decode()


def test_every_missing_setting_at_once() -> None:
    answer = refused({"PATH": os.environ["PATH"]})
    assert answer.returncode == 1
    assert answer.stdout == ""
    for name in ("IDP_ISSUER", "IDP_DATABASE_URL", "IDP_KEY_ENCRYPTION_KEY", "IDP_PASSWORD_PEPPER"):
        assert f"{name} is not set." in answer.stderr
    assert "Traceback" not in answer.stderr


def test_every_wrong_setting_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "pepper"
    secret.write_text("too short")
    wrong = environment(
        "mysql://root:hunter2@localhost/idp",
        IDP_ISSUER="http://id.example.com/?a=b",
        IDP_KEY_ENCRYPTION_KEY="c2VjcmV0LXNlY3JldA",
        IDP_PASSWORD_PEPPER="",
        IDP_PASSWORD_PEPPER_FILE=str(secret),
        IDP_ACCESS_TOKEN_TTL="soon",
        IDP_TRUSTED_PROXIES="everybody",
        IDP_LOG_FORMAT="xml",
    )
    answer = refused(wrong)
    assert answer.returncode == 1
    problems = answer.stderr.splitlines()
    for name in (
        "IDP_ISSUER", "IDP_DATABASE_URL", "IDP_KEY_ENCRYPTION_KEY", "IDP_PASSWORD_PEPPER", "IDP_ACCESS_TOKEN_TTL",
        "IDP_TRUSTED_PROXIES", "IDP_LOG_FORMAT",
    ):  # fmt: skip
        assert any(name in problem for problem in problems), name
    for hidden in ("hunter2", "c2VjcmV0", "too short"):
        assert hidden not in answer.stderr


def test_a_setting_that_is_none_is_named(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(database, IDP_ISUER="typo")) as process:
        assert "IDP_ISUER is not a setting" in process.written()


@pytest.mark.parametrize("migrate", [[], ["--migrate"]], ids=["", "--migrate"])
def test_the_database_is_down(migrate: list[str]) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = refused(environment(f"postgresql://idp:hunter2@127.0.0.1:{port}/idp"), *migrate)
    assert answer.returncode == 1
    assert "IDP_DATABASE_URL" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "hunter2" not in answer.stderr


def test_the_schema_is_missing(empty_database: str) -> None:
    answer = refused(environment(empty_database))
    assert answer.returncode == 1
    assert "`idp migrate`" in answer.stderr


def test_migrate_brings_the_schema(empty_database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(empty_database), "--migrate") as process:
        assert httpx.get(f"{process.url}/readyz").status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_wrong_key_encryption_key(database: str, workers: str) -> None:
    answer = refused(environment(database, IDP_KEY_ENCRYPTION_KEY=ANOTHER_KEY), "--workers", workers)
    assert answer.returncode == 1
    sentences = [line for line in answer.stderr.splitlines() if line.startswith("idp: ") and "warning" not in line]
    assert len(sentences) == 1
    assert "IDP_KEY_ENCRYPTION_KEY" in sentences[0]
    assert "Traceback" not in answer.stderr


def test_the_right_key_beside_a_wrong_one(database: str, tmp_path: Path) -> None:
    settings = environment(database)
    both = f"{ANOTHER_KEY},{settings['IDP_KEY_ENCRYPTION_KEY']}"
    with serving(tmp_path, environment(database, IDP_KEY_ENCRYPTION_KEY=both)) as process:
        assert httpx.get(f"{process.url}/readyz").status_code == 200


def test_the_port_is_taken(database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = refused(environment(database), "--port", port)
    assert answer.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in answer.stderr
