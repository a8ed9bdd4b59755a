"""Servers under measurement: started as their operators would, watched from outside."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.load import Request

_PATIENCE = 60.0
_LOOK = 0.005
_MEBIBYTE = 2**20


class ServerFailed(Exception):  # noqa: N818 - what failed is the server
    """A server did not start; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server is asked: a token, its keys, and something that costs it nearly nothing."""

    token: Request
    keys: Request
    cheap: Request


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `start_seconds` is from exec to its first answer; `processes` is how many serve."""

    name: str
    port: int
    asked: Asked
    processes: int
    root: psutil.Process
    start_seconds: float

    def cpu(self) -> float:
        """Seconds that its processes have spent so far."""
        return cpu_of_tree(self.root)

    def memory(self) -> float:
        """Mebibytes for each process that serves. Pages that several share count in parts."""
        tree = [self.root, *self.root.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in tree) / _MEBIBYTE / self.processes


def cpu_of_tree(root: psutil.Process) -> float:
    """CPU seconds of a process and all below it, those included that they have buried."""
    spent = 0.0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


@contextlib.contextmanager
def started(
    name: str,
    command: Sequence[str],
    asked: Asked,
    *,
    port: int,
    folder: Path,
    processes: int = 1,
    environment: Mapping[str, str] | None = None,
    ready: Request | None = None,
) -> Iterator[Server]:
    """Runs a server while the block runs; it is ready when it answers `ready`, or else what is cheap, with 200.

    Raises ServerFailed. What it writes is in `folder`.
    """
    log = folder / f"{name.replace(' ', '-')}.log"
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**_inherited(), **(environment or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(process, f"http://127.0.0.1:{port}{(ready or asked.cheap).path}", log)
        yield Server(name, port, asked, processes, psutil.Process(process.pid), time.perf_counter() - start)
    finally:
        _end(process)


def _inherited() -> dict[str, str]:
    """Our environment without settings of a service that somebody runs from this shell, nor one for its sources: what
    is installed has its bytecode, and does not compile itself at every start."""
    dropped = "IDP_", "PYTHONDONTWRITEBYTECODE"
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.perf_counter() + _PATIENCE
    while time.perf_counter() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            answer.read()
            return
        time.sleep(_LOOK)
    raise ServerFailed(f"{url} does not answer:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks it to end, and ends what is left of its session."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on, a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
