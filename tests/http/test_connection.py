"""What a connection makes of what it is called with: the parts that no client can see."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from idp.cli.server import SERVER
from idp.http import bounds
from idp.http.connection import Connection, State
from idp.http.deadline import Deadline

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Transport(asyncio.Transport):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5), "sockname": ("::1", 80, 0, 0)})
        self.written: list[bytes] = []
        self.lines: list[object] = []
        self.reading: list[bool] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.lines += list_of_data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.reading.append(False)

    def resume_reading(self) -> None:
        self.reading.append(True)


class App:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.scopes: list[Scope] = []
        self.content = b"{}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.content})


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture
async def connection(app: App) -> Connection:
    return connected(app)


def connected(app: App) -> Connection:
    config = uvicorn.Config(app, **SERVER)
    config.load()
    connection = Connection(config, State(), {})
    connection.connection_made(Transport())
    return connection


def transport_of(connection: Connection) -> Transport:
    transport = connection._transport
    assert isinstance(transport, Transport)
    return transport


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_an_answer_is_one_write(connection: Connection, app: App) -> None:
    app.may_answer.set()
    connection.data_received(ASK)
    await settled()
    assert len(transport_of(connection).written) == 1


async def test_a_large_answer_is_not_copied(connection: Connection, app: App) -> None:
    """A file that many are slow to take is there once."""
    app.content = b"x" * 1_000_000
    app.may_answer.set()
    connection.data_received(ASK)
    await settled()
    assert any(piece is app.content for piece in transport_of(connection).lines)


async def test_who_asks_whom(connection: Connection, app: App) -> None:
    connection.data_received(ASK)
    await settled()
    (scope,) = app.scopes
    assert (scope["client"], scope["server"]) == (("192.0.2.1", 5), ("::1", 80))


async def test_nothing_is_read_while_requests_wait(connection: Connection, app: App) -> None:
    """So what a client can have us hold is what a transport reads at once."""
    transport = transport_of(connection)
    connection.data_received(ASK)
    assert transport.reading == []
    connection.data_received(ASK * 3)
    assert transport.reading == [False]
    app.may_answer.set()
    await settled()
    assert transport.reading == [False, True]
    assert len(transport.written) == 4


async def test_requests_are_answered_one_after_the_other(connection: Connection, app: App) -> None:
    connection.data_received(ASK * 3)
    await settled()
    assert len(app.scopes) == 1


async def test_a_body_that_nobody_takes_is_not_kept(connection: Connection, app: App) -> None:
    app.may_answer.set()
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (bounds.MAX_REQUEST - 999))
    await settled()
    exchange = connection._incoming
    assert exchange is not None
    for _ in range(100):
        connection.data_received(b"x" * 10_000)
    assert exchange._body == b""


async def test_of_a_body_so_much_is_kept(connection: Connection, app: App) -> None:
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(1000):
        connection.data_received(b"x" * 900)
    assert connection._incoming is not None
    assert len(connection._incoming._body) < 64 * 1024 + 1000


async def test_all_of_it_goes_with_the_connection(app: App) -> None:
    """Without the garbage collector, which comes rarely."""
    app.may_answer.set()
    gc.disable()
    try:
        connection = connected(app)
        state, left = connection.state, weakref.ref(connection)
        connection.data_received(ASK)
        await settled()
        connection.connection_lost(None)
        del connection
        assert (state.connections, state.tasks, left()) == (set(), set(), None)
    finally:
        gc.enable()


class Clock:
    """What a deadline needs of an event loop. Its time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[asyncio.TimerHandle] = []
        self.wound_up = 0

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        self.wound_up += 1
        self.timers.append(asyncio.TimerHandle(when, callback, args, cast("asyncio.AbstractEventLoop", self), context))
        return self.timers[-1]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.timers.remove(handle)

    def pass_until(self, now: float) -> None:
        while due := [timer for timer in self.timers if timer.when() <= now]:
            first = min(due, key=asyncio.TimerHandle.when)
            self.timers.remove(first)
            self.now = first.when()
            first._run()
        self.now = now


def deadline_on(clock: Clock, passed: Callable[[], None]) -> Deadline:
    return Deadline(cast("asyncio.AbstractEventLoop", clock), passed)


class TestDeadline:
    def test_it_moves(self) -> None:
        clock, passed = Clock(), list[float]()
        deadline = deadline_on(clock, lambda: passed.append(clock.now))
        deadline.set(10)
        clock.pass_until(105)
        deadline.set(10)
        clock.pass_until(114)
        assert passed == []
        clock.pass_until(200)
        assert passed == [115]

    def test_to_an_earlier_one_too(self) -> None:
        clock, passed = Clock(), list[float]()
        deadline = deadline_on(clock, lambda: passed.append(clock.now))
        deadline.set(30)
        deadline.set(10)
        clock.pass_until(200)
        assert passed == [110]

    def test_cleared_it_never_passes(self) -> None:
        clock, passed = Clock(), list[float]()
        deadline = deadline_on(clock, lambda: passed.append(clock.now))
        deadline.set(10)
        deadline.clear()
        clock.pass_until(200)
        assert (passed, clock.timers) == ([], [])

    def test_it_needs_a_timer_rarely(self) -> None:
        clock = Clock()
        deadline = deadline_on(clock, lambda: None)
        for _ in range(1000):
            deadline.set(30)
            clock.pass_until(clock.now + 0.1)
        assert clock.wound_up == 4
