"""Keys that outlive the process: a restart of the resource service while the issuer is out of reach."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from idp_verifier import KeysUnavailable, UnknownKey, Verifier
from idp_verifier.fake_issuer import Clock
from idp_verifier.testing import JWKS_PATH, Answer, LocalIssuer, Signer

AUDIENCE = "https://api.example.com"
NOW = 1_800_000_000
TLS = ssl.create_default_context()  # dear to make, and the same for all


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


Open = Callable[[], Verifier]


@pytest.fixture
def opened(issuer: LocalIssuer, clock: Clock, path: Path) -> Iterator[Open]:
    """Starts the service anew, as it were: a verifier that has nothing but the file."""
    verifiers = []

    def start() -> Verifier:
        verifiers.append(Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, cache_file=path))
        return verifiers[-1]

    yield start
    for verifier in verifiers:
        verifier.close()


@contextmanager
def outage(issuer: LocalIssuer) -> Iterator[None]:
    answers = dict(issuer.answers)
    issuer.answers.update(dict.fromkeys(answers, Answer(status=503)))
    yield
    issuer.answers.update(answers)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SERVICE = """
import sys
from idp_verifier import VerificationError, Verifier

issuer, audience, path, now, token = sys.argv[1:]
with Verifier(issuer, audience, cache_file=path, clock=lambda: float(now)) as verifier:
    try:
        print(verifier.verify_sync(token).client_id)
    except VerificationError as error:
        print(error.code, error)
"""


def test_a_process_that_starts_in_an_outage_verifies_until_the_bound(path: Path) -> None:
    def service(now: float, token: str) -> str:
        arguments = [url, AUDIENCE, str(path), str(now), token]
        run = subprocess.run(
            [sys.executable, "-c", SERVICE, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        return run.stdout.strip()

    with LocalIssuer("ES256", clock=lambda: NOW) as issuer:  # a real one, which then is really gone
        url, token = issuer.url, issuer.token(exp=NOW + 200_000)
        assert service(NOW, token) == "web"
    assert service(NOW + 86_399, token) == "web"  # nobody listens any more
    assert service(NOW + 86_400, token).startswith("keys_unavailable the issuer's keys are not available: ")


def test_the_bound_is_counted_from_when_the_keys_were_last_confirmed(
    issuer: LocalIssuer, opened: Open, clock: Clock
) -> None:
    opened().verify_sync(issuer.token())
    clock.now += 3_600
    opened().verify_sync(issuer.token())  # confirmed by a 304
    assert issuer.requests[-1][1]["If-None-Match"] == issuer.answers[JWKS_PATH].headers["ETag"]
    with outage(issuer):
        clock.now += 86_399
        for _ in range(3):  # restarts prolong nothing
            assert opened().verify_sync(issuer.token())
        clock.now += 1
        with pytest.raises(KeysUnavailable, match="status"):
            opened().verify_sync(issuer.token())


def test_keys_from_the_file_are_fresh_for_as_long_as_they_were(issuer: LocalIssuer, opened: Open, clock: Clock) -> None:
    opened().verify_sync(issuer.token())
    asked = len(issuer.requests)
    clock.now += 100
    opened().verify_sync(issuer.token())
    assert len(issuer.requests) == asked
    token = issuer.token()
    issuer.publish(Signer.generate("ES256"))  # the key is revoked
    clock.now += 201
    with pytest.raises(UnknownKey):
        opened().verify_sync(token)


def test_the_file_is_written_as_a_whole_and_for_us_alone(issuer: LocalIssuer, opened: Open, path: Path) -> None:
    path.write_text("")
    path.chmod(0o644)
    mask = os.umask(0)
    try:
        opened().verify_sync(issuer.token())
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-10]), id="cut off"),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe"), id="binary"),
        pytest.param(lambda path: path.write_text("[]"), id="array"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes().ljust(2 << 20)), id="too large"),
        pytest.param(lambda path: path.write_text('{"issuer":1,' + path.read_text()[1:]), id="a name twice"),
        pytest.param(lambda path: edit(path, issuer="https://evil.example.com"), id="another issuer"),
        pytest.param(lambda path: edit(path, jwks_uri="https://evil.example.com"), id="from another place"),
        pytest.param(lambda path: edit(path, at=NOW + 1), id="from the future"),
        pytest.param(lambda path: edit(path, at="now"), id="no instant"),
        pytest.param(lambda path: edit(path, max_age=-1), id="negative age"),
        pytest.param(lambda path: edit(path, etag=7), id="no etag"),
        pytest.param(lambda path: edit(path, jwks='{"keys":[]}'), id="no keys"),
        pytest.param(lambda path: edit(path, jwks='{"keys":[{"kty":"oct","kid":"x","k":"AA"}]}'), id="private"),
        pytest.param(lambda path: edit(path, jwks=None), id="no key set"),
        pytest.param(lambda path: path.chmod(0o620), id="writable by the group"),
        pytest.param(lambda path: path.chmod(0o602), id="writable by all"),
        pytest.param(lambda path: (path.rename(f"{path}2"), path.symlink_to(f"{path}2")), id="a link"),
        pytest.param(replace_by_a_pipe, id="a pipe"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), id="a directory"),
    ],
)
def test_a_file_that_is_not_to_be_trusted_is_ignored(
    issuer: LocalIssuer, opened: Open, path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    opened().verify_sync(issuer.token())
    damage(path)
    with outage(issuer), pytest.raises(KeysUnavailable):
        opened().verify_sync(issuer.token())
    assert "not used" in caplog.text
    assert opened().verify_sync(issuer.token())


def test_a_file_of_a_stranger_is_ignored(
    issuer: LocalIssuer, opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().verify_sync(issuer.token())
    stranger = path.stat().st_uid + 1
    with outage(issuer):
        assert opened().verify_sync(issuer.token())
        monkeypatch.setattr(os, "geteuid", lambda: stranger)
        with pytest.raises(KeysUnavailable):
            opened().verify_sync(issuer.token())


def test_a_file_that_cannot_be_written_is_not_fatal(
    issuer: LocalIssuer, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Verifier(issuer.url, AUDIENCE, clock=clock, cache_file=tmp_path / "no" / "such" / "keys.json") as verifier:
        assert verifier.verify_sync(issuer.token())
    assert "could not be written" in caplog.text


def test_an_unusable_answer_does_not_reach_the_file(
    issuer: LocalIssuer, opened: Open, path: Path, clock: Clock
) -> None:
    verifier = opened()
    verifier.verify_sync(issuer.token())
    written = path.read_bytes()
    issuer.answers[JWKS_PATH].body = b'{"keys":[]}'
    issuer.answers[JWKS_PATH].headers = {}
    clock.now += 301
    verifier.verify_sync(issuer.token())
    assert path.read_bytes() == written
