"""What becomes of the log never harms the service: nobody reads it, its disk is full, there is none to begin with."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psutil  # types-psutil is not among the pins
import pytest

from idp.log_stream import LogStream
from tests.operation.serving import COMMAND, ROOT, environment, serving, until

SMALLEST_PIPE = 4096
"""In bytes; some 20 lines."""
END = b"\0"

PYTHON = [sys.executable, "-W", "error", "-c"]

CRASH = """
import logging, sys
from idp import log
from idp.cli.workers import Workers

def work(*_):
    logging.getLogger("x").info("y")
    sys.stderr.write("z\\n" * 250_000)  # more than goes into a pipe at once
    1 / 0

log.configure("json", "INFO")
"""


def test_nobody_reads(database: str) -> None:
    with unread_pipe() as (_, writer), serving_to(writer, environment(database), "--workers", "2") as (process, url):
        ask(url, 200)
        first = set(process.children())
        process.send_signal(signal.SIGHUP)  # the parent writes that it replaced them
        until(lambda: not first & set(process.children()))
        ask(url, 1)
        assert stop(process) == 0


def test_read_at_last(database: str) -> None:
    """Every line comes, whole and in order."""
    with unread_pipe() as (reader, writer), serving_to(writer, environment(database)) as (process, url):
        ask(url, 200)
        with reading(reader) as pieces:
            assert httpx.get(f"{url}/metrics").status_code == 200
            assert stop(process) == 0
            os.write(writer, END)
    assert answers(b"".join(pieces).decode()) == [*["/healthz"] * 200, "/metrics"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk(database: str, workers: str) -> None:
    variables = environment(database, IDP_ISUER="of which it would warn")
    with (
        Path("/dev/full").open("wb") as full,
        serving_to(full.fileno(), variables, "--workers", workers) as (process, url),
    ):
        ask(url, 50)
        assert stop(process) == 0


def test_no_standard_error(database: str) -> None:
    with serving_to(None, environment(database)) as (process, url):
        ask(url, 50)
        assert stop(process) == 0


def test_an_orderly_stop_loses_nothing_and_says_nothing_twice(database: str, tmp_path: Path) -> None:
    variables = environment(database, IDP_ISUER="of which it warns before it forks")
    with serving(tmp_path, variables, "--workers", "2") as process:
        ask(process.url, 50)
        assert process.stop() == 0
    assert answers(process.written()).count("/healthz") == 50
    assert process.written().count("IDP_ISUER") == 1
    assert process.written().count("serving") == 1


@pytest.mark.parametrize("where", ["work()", "sys.exit(Workers(1, work, sockets=[], bury=print).run(print))"])
def test_the_last_words_of_a_crash(where: str) -> None:
    crashed = subprocess.run([*PYTHON, CRASH + where], cwd=ROOT, capture_output=True, text=True, check=False)
    assert crashed.returncode == 1
    line, *others = crashed.stderr.splitlines()
    assert json.loads(line)["event"] == "y"
    assert others.count("z") == 250_000
    assert others[-1] == "ZeroDivisionError: division by zero"


def test_a_crash_of_which_nobody_reads() -> None:
    with unread_pipe() as (_, writer):
        crashed = subprocess.run([*PYTHON, CRASH + "work()"], cwd=ROOT, stderr=writer, timeout=30, check=False)
    assert crashed.returncode == 1


class TestLogStream:
    """What waits, and what is lost. Nothing waits at the end of a test: the next may have a pipe of the same number."""

    def test_its_thread_takes_no_signals(self) -> None:
        """A worker's parent waits for them; another thread that got SIGTERM would end it on the spot."""
        with unread_pipe() as (_, writer):
            stream = LogStream(writer, "{} lost\n".format)
            stream.write(b"line\n")
            stream.drain(30)
            thread = next(thread for thread in threading.enumerate() if thread.name == "log")
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
        assert int(blocked.split()[1], 16) >> (signal.SIGTERM - 1) & 1

    def test_a_line_says_how_many_were_lost(self) -> None:
        with unread_pipe() as (reader, writer):
            os.write(writer, bytes(SMALLEST_PIPE))
            stream = LogStream(writer, "{} lost\n".format, bound=100)
            for number in range(100):
                stream.write(b"line %02d\n" % number)  # 8 bytes
            os.read(reader, SMALLEST_PIPE)
            stream.drain(30)
            lines = os.read(reader, SMALLEST_PIPE).decode().splitlines()
            assert lines[:12] == [f"line {number:02}" for number in range(12)]
            assert sum(int(line.removesuffix(" lost")) for line in lines[12:]) == 88  # in two lines, as it may happen
            stream.write(b"and on\n")
            stream.drain(30)
            assert os.read(reader, SMALLEST_PIPE) == b"and on\n"

    def test_what_is_refused_is_written_later_and_no_line_is_cut(self) -> None:
        with unread_pipe() as (reader, writer):
            os.set_blocking(writer, False)
            stream = LogStream(writer, "{} lost\n".format, pause=0.01)
            written = b"".join(b"%d\n" % number for number in range(10_000))
            stream.write(written)
            with reading(reader) as pieces:
                stream.drain(30)
                os.set_blocking(writer, True)
                os.write(writer, END)
            assert b"".join(pieces) == written


@contextlib.contextmanager
def unread_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full soon."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def reading(descriptor: int) -> Iterator[list[bytes]]:
    """Reads meanwhile, until the end is written."""
    pieces: list[bytes] = []

    def read() -> None:
        while not (piece := os.read(descriptor, 2**16)).endswith(END):
            pieces.append(piece)
        pieces.append(piece.removesuffix(END))

    thread = threading.Thread(target=read)
    thread.start()
    yield pieces
    thread.join()


@contextlib.contextmanager
def serving_to(
    stderr: int | None, variables: Mapping[str, str], *arguments: str
) -> Iterator[tuple[psutil.Process, str]]:
    """`idp serve`, ready, and its address, for which nothing that it writes is needed."""
    command = [*COMMAND, "serve", "--port", "0", *arguments]
    if stderr is None:
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    process = psutil.Popen(command, cwd=ROOT, env=dict(variables), stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        until(lambda: process.poll() is not None or is_ready(process), 30)
        assert process.poll() is None
        yield process, address(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def address(process: psutil.Process) -> str:
    """Where it listens, if it does."""
    ports = [held.laddr.port for held in process.net_connections("tcp4") if held.status == psutil.CONN_LISTEN]
    return f"http://127.0.0.1:{ports[0]}" if ports else ""


def is_ready(process: psutil.Process) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return bool(url := address(process)) and httpx.get(f"{url}/readyz").status_code == 200
    return False


def ask(url: str, times: int) -> None:
    with httpx.Client(base_url=url, timeout=10) as http:
        for _ in range(times):
            assert http.get("/healthz").status_code == 200


def stop(process: psutil.Process) -> int | None:
    process.send_signal(signal.SIGTERM)
    code: int | None = process.wait(30)
    return code


def answers(written: str) -> list[str]:
    """The routes of the answers, but for those of the start."""
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    return [line["route"] for line in lines if line["event"] == "request" and line["route"] != "/readyz"]
