"""The process that asks. Its orders come on standard input, what it saw goes to standard output, both as JSON.

In a closed loop each caller asks again as soon as it is answered. In an open loop requests are due at fixed instants,
and a latency counts from that instant: a server that stalls is seen to stall.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import uvloop

from bench.load.http import Answer, parse

_HOST = "127.0.0.1"
_DRAIN = 120.0
"""Seconds for which answers to what was asked are awaited at the end."""
_ROTATING = b"&refresh_token="
_URGENT = os.sched_param(1)
"""An open loop is a real-time process, where we may have one: its few requests are sent when they are due, and their
answers do not wait for a processor that the server keeps busy, as they would not on a machine of its own. Niceness
is not enough: Linux first weighs whole sessions against each other (autogroups), and the server has its own."""


class Connection(asyncio.Protocol):
    """One connection, on which one answer is awaited at a time. `ended` is told an answer, or None at its end."""

    def __init__(self, ended: Callable[["Connection", Answer | None], None]) -> None:
        self._ended = ended
        self._received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's do not say that they are one

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = parse(self._received)
        if answer:
            self._received = b""
            self._ended(self, answer)

    def connection_lost(self, _: Exception | None) -> None:
        self._ended(self, None)


class Seen:
    """How many good answers there were, after how many seconds, and the last of the bad ones.

    To the patient it is no failure to be told to come again. Who is still to come at the end has waited at least so
    long already: that counts among the latencies, lest those who wait longest be left out.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.patient = patient
        self.latencies: list[float] = []
        self.good = 0
        self.shed = 0
        self.failures = 0
        self.failure = ""

    def add(self, answer: Answer | None, seconds: float) -> None:
        if answer and answer.good:
            self.latencies.append(seconds)
            self.good += 1
            return
        if answer and answer.retry_after and self.patient:
            self.shed += 1
            return
        self.failures += 1
        self.failure = f"{answer.status!r} {answer.body[:200]!r}" if answer else "the connection ended"

    def report(self, seconds: float) -> dict[str, Any]:
        ordered = sorted(self.latencies)
        return {
            "count": self.good,
            "seconds": seconds,
            "p50": _quantile(ordered, 0.5),
            "p99": _quantile(ordered, 0.99),
            "shed": self.shed,
            "failures": self.failures,
            "failure": self.failure,
        }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Caller:
    """Asks `request` on a connection of its own, which it opens anew when the server has hung up."""

    def __init__(self, port: int, seen: Seen, done: Callable[["Caller", Answer | None], None]) -> None:
        self.request = b""
        self._port = port
        self._seen = seen
        self._done = done
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._since = 0.0
        self._awaiting = False

    def ask(self, since: float) -> None:
        """`since` is the instant from which the latency counts."""
        self._since = since
        self.ask_again()

    def ask_again(self) -> None:
        """What was asked before, and is still waited for since then."""
        self._awaiting = True
        if self._connection:
            self._connection.transport.write(self.request)
        else:
            self._connecting = asyncio.ensure_future(self._connect())

    def hang_up(self) -> None:
        if self._connection:
            self._connection.transport.abort()
            self._connection = None

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, self._connection = await loop.create_connection(lambda: Connection(self._ended), _HOST, self._port)
        except OSError:
            self._settle(None)
            return
        if self._connection.transport.is_closing():  # it ended before it was ours
            self._connection = None
            self._settle(None)
            return
        self._connection.transport.write(self.request)

    def _ended(self, connection: Connection, answer: Answer | None) -> None:
        if connection is not self._connection:
            return  # one that was given up
        if answer is None or answer.last:
            self.hang_up()
        self._settle(answer)

    def _settle(self, answer: Answer | None) -> None:
        if not self._awaiting:
            return  # an idle connection ended
        self._awaiting = False
        self._seen.add(answer, self.waited)
        self._done(self, answer)

    @property
    def waited(self) -> float:
        """Seconds since the request was asked for the first time."""
        return time.perf_counter() - self._since


async def closed_loop(
    port: int, requests: Sequence[str], callers: int, seconds: float, patient: bool
) -> dict[str, Any]:
    """Each caller asks the next of the requests as soon as it is answered. If it is patient, it first asks the same
    again when it is told to, and what it waits for counts from the first time.

    The report ends with the requests, for a next time: refresh tokens in them rotate.
    """
    seen = Seen(patient=patient)
    finished = asyncio.Event()
    waiting = deque(request.encode() for request in requests)
    at_work = callers
    start = time.perf_counter()

    def ask_next(caller: Caller) -> None:
        caller.request = waiting.popleft()
        caller.ask(time.perf_counter())

    def done(caller: Caller, answer: Answer | None) -> None:
        nonlocal at_work
        pause = answer.retry_after if answer and patient else None
        goes_on = time.perf_counter() - start < seconds - (pause or 0)
        if goes_on and pause is not None:
            asyncio.get_running_loop().call_later(pause, caller.ask_again)
            return
        if pause is not None:
            seen.latencies.append(caller.waited)
        rotates = answer and answer.good and _ROTATING in caller.request
        waiting.append(_rotated(caller.request, answer) if answer and rotates else caller.request)
        if goes_on:
            ask_next(caller)
            return
        caller.hang_up()
        at_work -= 1
        if not at_work:
            finished.set()

    for _ in range(callers):
        ask_next(Caller(port, seen, done))
    async with asyncio.timeout(seconds + _DRAIN):
        await finished.wait()
    took = time.perf_counter() - start
    return seen.report(took) | {"requests": [request.decode() for request in waiting]}


def _rotated(request: bytes, answer: Answer) -> bytes:
    """The request with the refresh token of the answer, which is as long as the one before."""
    token: str = json.loads(answer.body)["refresh_token"]
    start, _, before = request.rpartition(_ROTATING)
    assert len(token) == len(before), "Content-Length counts on it"
    return start + _ROTATING + token.encode()


async def open_loop(port: int, request: str, seconds: float, rate: float) -> dict[str, Any]:
    """`rate` requests a second, on as many connections as are needed."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, _URGENT)
    seen = Seen()
    idle: list[Caller] = []
    count = round(rate * seconds)
    finished = asyncio.Event()

    def done(caller: Caller, _: Answer | None) -> None:
        idle.append(caller)
        if seen.good + seen.failures == count:
            finished.set()

    start = time.perf_counter()
    for number in range(count):
        due = start + number / rate
        await asyncio.sleep(due - time.perf_counter())
        caller = idle.pop() if idle else Caller(port, seen, done)
        caller.request = request.encode()
        caller.ask(due)
    async with asyncio.timeout(_DRAIN):
        await finished.wait()
    for caller in idle:
        caller.hang_up()
    return seen.report(time.perf_counter() - start)


def main() -> None:
    orders = json.load(sys.stdin)
    loop = open_loop if "rate" in orders else closed_loop
    json.dump(uvloop.run(loop(**orders)), sys.stdout)


if __name__ == "__main__":
    main()
