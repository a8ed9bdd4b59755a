"""The issuer and the example as a newcomer runs them: two processes, and commands beside them."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[2] / "examples/resource_service"


@dataclass(frozen=True, slots=True)
class DevelopmentIssuer:
    """A running `idp dev`, and the password of its first administrator."""

    url: str
    data_dir: Path
    admin_password: str

    def idp(self, *arguments: str, stdin: str = "") -> dict[str, Any]:
        """What an `idp` command beside it prints with --json."""
        command = [str(BIN / "idp"), *arguments, "--data-dir", str(self.data_dir), "--json"]
        done = subprocess.run(command, input=stdin, env=_bare(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record


@contextlib.contextmanager
def development_issuer() -> Iterator[DevelopmentIssuer]:
    """Runs `idp dev` on a free port, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="idp-example-") as folder:
        Path(folder).chmod(0o711)  # root's PostgreSQL runs as another account, which must get through
        data_dir = Path(folder) / "data"
        command = [str(BIN / "idp"), "dev", "--port", "0", "--data-dir", str(data_dir)]
        announced = (r"ready at (\S+)", r"password +(\S+)")
        with _program(command, {"IDP_BCRYPT_COST": "4"}, announced) as (url, password):
            yield DevelopmentIssuer(url, data_dir, password)


@contextlib.contextmanager
def resource_service(settings: Mapping[str, str]) -> Iterator[str]:
    """Runs the example on a free port; gives its URL."""
    command = [str(BIN / "uvicorn"), "--app-dir", str(EXAMPLE), "--factory", "resource_service:create_app"]
    command += ["--port", "0"]
    with _program(command, settings, (r"running on (\S+)",)) as (url,):
        yield url


@contextlib.contextmanager
def _program(command: list[str], settings: Mapping[str, str], announced: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Runs a program with these settings alone; gives what it says in its first lines. It must end well at SIGTERM."""
    process = subprocess.Popen(
        command, env={**_bare(), **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout
        said = ""
        while not all(re.search(pattern, said) for pattern in announced):
            line = process.stdout.readline()
            assert line, f"{command[0]} ended before it was ready:\n{said}"
            said += line
        yield tuple(match[1] for pattern in announced if (match := re.search(pattern, said)))
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    # uvicorn's own command ends by the signal that it was sent, after an orderly stop.
    assert process.returncode in (0, -15), rest


def _bare() -> dict[str, str]:
    """An environment with nothing of ours in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
