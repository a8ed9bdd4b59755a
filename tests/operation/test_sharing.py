"""Several workers share the connections that come, and none waits for one that does nothing."""

import contextlib
import os
import signal
import socket
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from idp.http.accepting import SLACK, Loads, Place
from tests.operation.serving import environment, serving, until

COUNT = 40


def test_connections_that_come_together_are_shared(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(database), "--workers", "2") as process:
        workers = psutil.Process(process.process.pid).children()
        differences = []
        for _ in range(5):
            with connected(process.url, COUNT) as clients:
                until(lambda: sum(held(workers)) == COUNT)
                differences.append(max(held(workers)) - min(held(workers)))
                assert [asked(client) for client in clients] == [b"HTTP/1.1 200 OK"] * COUNT
            until(lambda: sum(held(workers)) == 0)
        # Left to the kernel, one of them gets most of them more often than not.
        assert statistics.median(differences) <= 2 * SLACK + 2, differences


def test_nobody_waits_for_a_worker_that_is_stopped(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, environment(database), "--workers", "2") as process:
        stopped, other = psutil.Process(process.process.pid).children()
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            with connected(process.url, COUNT) as clients:
                assert [asked(client) for client in clients] == [b"HTTP/1.1 200 OK"] * COUNT
                assert held([other]) == [COUNT]
        finally:
            os.kill(stopped.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("mine", "others", "is_ahead"),
    [
        (0, [], False),
        (1000, [], False),
        (SLACK, [0], False),
        (SLACK + 1, [0], True),
        (SLACK + 1, [1], False),
        (10, [50, 9 - SLACK], True),
    ],
)
def test_who_is_ahead(mine: int, others: Sequence[int], is_ahead: bool) -> None:
    loads = Loads()
    place = Place(loads, 3)
    place.note(mine)
    for slot, connections in enumerate(others, 4):
        loads.note(slot, connections)
    assert place.is_ahead is is_ahead
    for slot in range(4, 4 + len(others)):
        loads.forget(slot)
    assert not place.is_ahead


@contextlib.contextmanager
def connected(url: str, count: int) -> Iterator[list[socket.socket]]:
    port = urlsplit(url).port
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


def asked(client: socket.socket) -> bytes:
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
    return client.recv(4096).partition(b"\r\n")[0]


def held(workers: Sequence[psutil.Process]) -> list[int]:
    """How many connections each has."""
    return [
        sum(connection.status == psutil.CONN_ESTABLISHED and bool(connection.raddr) for connection in found)
        for found in (worker.net_connections("tcp4") for worker in workers)
    ]
