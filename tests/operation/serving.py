"""`idp serve` as operators run it: a real process, configured by its environment."""

import base64
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from idp.settings import Settings
from tests.builders import PASSWORD
from tests.service import DEFAULT_CLIENT, KEY_ENCRYPTION_KEY, settings_for

ISSUER = "https://id.example.com"
PEPPER = "a pepper without a comma which would make two"
COMMAND = [sys.executable, "-W", "error", "-c", "from idp.cli import main; main()"]
ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = re.compile(r"serving \S+ at (http://\S+)")


def environment(dsn: str, **changes: str) -> dict[str, str]:
    """What `idp serve` needs; hashing is cheap, all else is as it is in production."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    return {
        **inherited,
        "IDP_ISSUER": ISSUER,
        "IDP_DATABASE_URL": dsn,
        "IDP_KEY_ENCRYPTION_KEY": base64.b64encode(KEY_ENCRYPTION_KEY).decode(),
        "IDP_PASSWORD_PEPPER": PEPPER,
        "IDP_BCRYPT_COST": "4",
        "IDP_DEFAULT_CLIENT_ID": DEFAULT_CLIENT,
        **changes,
    }


def settings_of(dsn: str, **changes: object) -> Settings:
    """The same settings as a value, for making people and clients beside the process."""
    return settings_for(dsn, **{"issuer": ISSUER, "password_peppers": (PEPPER.encode(),)} | changes)


@dataclass
class Process:
    """A running `idp serve`. What it writes goes to the file `output`."""

    process: subprocess.Popen[bytes]
    output: Path
    url: str = field(default="")

    def written(self) -> str:
        return self.output.read_text()

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def await_address(self) -> None:
        """Waits until it says that it serves."""
        deadline = time.monotonic() + 30
        while not (found := _ADDRESS.search(self.written())):
            assert self.process.poll() is None, self.written()
            assert time.monotonic() < deadline, self.written()
            time.sleep(0.01)
        self.url = found[1]


@contextlib.contextmanager
def serving(folder: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[Process]:
    """Runs `idp serve` on a free port while the block runs."""
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdout=file,
            stderr=file,
        )
    serving = Process(process, output)
    try:
        serving.await_address()
        yield serving
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def refused(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `idp serve`, which is expected to end by itself."""
    return subprocess.run(
        [*COMMAND, "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def some_of_a_login(url: str, sent: int = -10) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection over which a login went up to its byte `sent`, and the rest of it."""
    form = urllib.parse.urlencode({"grant_type": "password", "username": "nobody", "password": PASSWORD}).encode()
    head = b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    login = head + b"Content-Length: %d\r\n\r\n%b" % (len(form), form)
    with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port), timeout=30) as connection:
        connection.sendall(login[:sent])
        yield connection, login[sent:]


def answer_over(connection: socket.socket) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer
