"""What an application is told of a request, and when; and what is no request."""

import asyncio
import itertools
import json
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from idp.endpoints.body import MAX_BODY
from idp.endpoints.fields import FIELDS
from idp.endpoints.whole import ANSWER, BODY
from idp.http import bounds
from tests.http.serving import serving
from tests.wire import Wire, statuses, wire_to

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class App:
    """Answers with what it was told, and remembers what it was told after that."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        answer: object = None
        if scope["path"] == "/echo":
            message = await receive()
            answer = [message["type"], message.get("body", b"").decode(), message.get("more_body")]
        elif scope["path"] == "/scope":
            bytes_in_it = {"client", "server", "headers", FIELDS}
            answer = {name: value for name, value in scope.items() if name not in bytes_in_it}
            answer |= {"headers": [(name.decode(), value.decode()) for name, value in scope["headers"]]}
            answer |= {"names": sorted(name.decode() for name in scope[FIELDS]) if FIELDS in scope else None}
        elif scope["path"] == "/slow":
            await asyncio.sleep(1)
        elif scope["path"] == "/wait":
            await self._wait(receive)
            return
        await answered(send, json.dumps(answer, default=repr).encode())
        if scope["path"] == "/after":
            self.told.append((await told(receive))[-1]["type"])

    async def _wait(self, receive: Receive) -> None:
        """By two tasks, as some do, one of which gives up."""
        hasty, patient = (asyncio.create_task(told(receive)) for _ in range(2))
        await asyncio.sleep(0.05)
        hasty.cancel()
        self.told.append((await patient)[-1]["type"])


async def told(receive: Receive) -> list[Message]:
    messages = [await receive()]
    while messages[-1]["type"] == "http.request":
        messages.append(await receive())
    return messages


async def answered(send: Send, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def app() -> App:
    return App()


@pytest.fixture(scope="module")
def url(app: App) -> Iterator[str]:
    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def impatient() -> Iterator[str]:
    """A server at which requests have a moment to come in, and connections one to be idle."""
    with pytest.MonkeyPatch.context() as patch, serving(App(), idle_seconds=1) as url:
        patch.setattr(bounds, "REQUEST_SECONDS", 0.3)
        yield url


async def one(connection: Wire) -> tuple[bytes, bytes]:
    """The head and the content of the next answer."""
    head = await connection.reader.readuntil(b"\r\n\r\n")
    size = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length: ")), b": 0")
    return head, await connection.reader.readexactly(int(size.partition(b": ")[2]))


async def test_scope(url: str) -> None:
    request = b"GET /%73cope?a=%20b&c?d HTTP/1.1\r\nHoSt: a\r\nX-A: B\r\nx-a: c\r\n\r\n"
    async with wire_to(url) as connection:
        await connection.send(request)
        _, body = await one(connection)
    assert json.loads(body) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "root_path": "",
        "path": "/scope",
        "raw_path": repr(b"/%73cope"),
        "query_string": repr(b"a=%20b&c?d"),
        "headers": [["host", "a"], ["x-a", "B"], ["x-a", "c"]],
        "names": None,
        "extensions": {ANSWER: {}},
        BODY: repr(b""),
    }


class TestBody:
    @pytest.mark.parametrize(
        "framed",
        [
            b"Content-Length: 5\r\n\r\nhello",
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: a\r\nHost: b\r\n\r\n",
        ],
        ids=["length", "chunks", "trailers"],
    )
    @pytest.mark.parametrize("step", [1, 11, 1000])
    async def test_it_comes_in_one_piece(self, url: str, framed: bytes, step: int) -> None:
        sent = POST + framed
        async with wire_to(url) as connection:
            await connection.send(*(sent[at : at + step] for at in range(0, len(sent), step)))
            _, body = await one(connection)
            assert json.loads(body) == ["http.request", "hello", False]

    @pytest.mark.parametrize(("lines", "names"), [("X: y", ["host", "x"]), ("X: y\r\nx: z", None)])
    async def test_fields_are_told_by_name_if_each_comes_once(
        self, url: str, lines: str, names: list[str] | None
    ) -> None:
        async with wire_to(url) as connection:
            await connection.send(f"GET /scope HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n".encode())
            _, body = await one(connection)
        assert json.loads(body)["names"] == names

    async def test_trailers_are_no_headers(self, url: str) -> None:
        """RFC 9110 §6.5.1: what a proxy has checked is the head."""
        async with wire_to(url) as connection:
            start = b"POST /scope HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            await connection.send(start + b"0\r\nAuthorization: b\r\n\r\n")
            _, body = await one(connection)
        told = json.loads(body)
        assert told["headers"] == [["host", "a"], ["transfer-encoding", "chunked"]]
        assert told["names"] == ["host", "transfer-encoding"]

    async def test_of_one_that_is_too_long_there_is_the_beginning(self, url: str) -> None:
        size = 900_000
        async with wire_to(url) as connection:
            chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
            await connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * (size // 10_000))
            kind, body, more = json.loads((await one(connection))[1])
            await connection.send(b"0\r\n\r\n" + POST + b"Content-Length: 0\r\n\r\n")
            assert json.loads((await one(connection))[1]) == ["http.request", "", False]
        assert (kind, more) == ("http.request", True)
        assert MAX_BODY < len(body) < size

    async def test_there_is_no_more_of_it(self, url: str, app: App) -> None:
        """Nor does anybody wait for it who asks."""
        app.told.clear()
        async with wire_to(url) as connection:
            await connection.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 80000\r\n\r\n", b"x" * 80_000)
            assert statuses(await connection.rest()) == [500]
        assert app.told == ["http.disconnect"]


class TestContinue:
    """RFC 9110 §10.1.1."""

    EXPECTING = POST + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"

    async def test_who_waits_for_it_is_asked_for_the_body(self, url: str) -> None:
        async with wire_to(url) as connection:
            await connection.send(self.EXPECTING)
            assert await connection.reader.readexactly(len(CONTINUE)) == CONTINUE
            await connection.send(b"he", b"llo", pause=0.02)
            head, body = await one(connection)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert json.loads(body)[1] == "hello"

    @pytest.mark.parametrize(
        "sent",
        [
            EXPECTING + b"hello",
            EXPECTING.replace(b"/echo", b"/scope") + b"hello",
            EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello",
        ],
        ids=["the body is there", "nobody reads it", "HTTP/1.0"],
    )
    async def test_nobody_is_asked_in_vain(self, url: str, sent: bytes) -> None:
        async with wire_to(url) as connection:
            await connection.send(sent)
            assert (await one(connection))[0].startswith(b"HTTP/1.1 200 ")

    async def test_http_1_0_is_not_asked(self, url: str) -> None:
        async with wire_to(url) as connection:
            await connection.send(self.EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
            await asyncio.sleep(0.1)
            await connection.send(b"hello")
            assert statuses(await connection.rest()) == [200]

    async def test_in_its_turn(self, url: str) -> None:
        async with wire_to(url) as connection:
            await connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + self.EXPECTING)
            head, _ = await one(connection)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await connection.reader.readexactly(len(CONTINUE)) == CONTINUE
            await connection.send(b"hello")
            assert json.loads((await one(connection))[1])[1] == "hello"


class TestDisconnect:
    async def test_the_application_hears_of_it(self, url: str, app: App) -> None:
        app.told.clear()
        async with wire_to(url) as connection:
            await connection.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.sleep(0.2)
            assert app.told == []
        await until_told(app)
        assert app.told == ["http.disconnect"]

    async def test_before_the_body_is_there(self, url: str, app: App) -> None:
        app.told.clear()
        async with wire_to(url) as connection:
            await connection.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
            await asyncio.sleep(0.1)
        await until_told(app)
        assert app.told == ["http.disconnect"]

    async def test_after_the_answer_there_is_nobody(self, url: str, app: App) -> None:
        app.told.clear()
        async with wire_to(url) as connection:
            await connection.send(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n")
            await one(connection)
            await until_told(app)
        assert app.told == ["http.disconnect"]


async def until_told(app: App) -> None:
    async with asyncio.timeout(5):
        while not app.told:  # noqa: ASYNC110 - another thread tells
            await asyncio.sleep(0.01)


class TestPersistence:
    """RFC 9112 §9.3, §9.6."""

    @pytest.mark.parametrize(
        ("version", "option"),
        [
            (b"1.1", b"Connection: close"),
            (b"1.1", b"Connection: x, Close"),
            (b"1.0", b"Connection: keep-alive"),
            (b"1.0", b"Proxy-Connection: keep-alive"),
            (b"1.0", b"X: y"),
        ],
    )
    async def test_the_connection_ends(self, url: str, app: App, version: bytes, option: bytes) -> None:
        """And what came behind the last request is none."""
        app.asked.clear()
        request = b"GET /scope HTTP/%b\r\nHost: a\r\n%b\r\n\r\n" % (version, option)
        async with wire_to(url) as connection:
            await connection.send(request + b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            answers = await connection.rest()
        assert statuses(answers) == [200]
        assert b"\r\nconnection: close\r\n" in answers
        assert app.asked == ["/scope"]

    @pytest.mark.parametrize("option", [b"", b"Connection: keep-alive\r\n", b"Connection: x\r\n"])
    async def test_the_connection_goes_on(self, url: str, option: bytes) -> None:
        async with wire_to(url) as connection:
            for _ in range(3):
                await connection.send(b"GET /scope HTTP/1.1\r\nHost: a\r\n%b\r\n" % option)
                head, _ = await one(connection)
                assert b"connection" not in head

    async def test_an_idle_one_ends(self, impatient: str) -> None:
        async with wire_to(impatient) as connection, asyncio.timeout(5):
            for _ in range(2):
                await connection.send(b"GET /scope HTTP/1.1\r\nHost: a\r\n\r\n")
                await one(connection)
                await asyncio.sleep(0.7)  # each time anew
            assert await connection.rest() == b""

    async def test_work_may_take_longer_than_a_request(self, impatient: str) -> None:
        async with wire_to(impatient) as connection:
            await connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await one(connection))[0].startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "rest",
        [b"G", b"GET /scope HTTP/1.1\r\n", POST + b"Content-Length: 5\r\n\r\nhel"],
        ids=["a letter", "half a head", "half a body"],
    )
    async def test_half_a_request_behind_one(self, impatient: str, rest: bytes) -> None:
        """It does not keep the one before from its answer, nor the connection for ever."""
        async with wire_to(impatient) as connection, asyncio.timeout(5):
            await connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + rest)
            assert statuses(await connection.rest())[0] == 200

    async def test_empty_lines_between_requests(self, url: str) -> None:
        """RFC 9112 §2.2."""
        async with wire_to(url) as connection:
            await connection.send(b"\r\nGET /scope HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n")
            await one(connection)
            await connection.send(b"\r\n", b"GET /scope HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await one(connection))[0].startswith(b"HTTP/1.1 200 ")


LENGTH = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + LENGTH + LENGTH + b"\r\nhello",
        POST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n",
        POST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n",
        POST + b"Content-Length: 5, 5\r\n\r\nhello",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: 0x5\r\n\r\nhello",
        POST + b"Content-Length : 5\r\n\r\nhello",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n5 \r\nhello\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n4\r\nhello\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
        POST + b"X: a\r\n b\r\n\r\n",
        POST + b" X: a\r\n\r\n",
        POST + b"X: a\rb\r\n\r\n",
        POST + b"X: a\n\r\n",
        b"GET /echo HTTP/1.1\nHost: a\n\n",
        b"GET /echo\r\n\r\n",
        b"GET /echo HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET echo HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get /echo HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=itertools.count(),
)
async def test_what_two_may_read_differently_is_refused(url: str, sent: bytes) -> None:
    """By the letter, with nothing forgiven: a proxy may have read it the other way (RFC 9112 §11.2, CWE-444)."""
    async with wire_to(url) as connection:
        await connection.send(sent + b"GET /scope HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await connection.rest()
    assert statuses(answer) == [400]
    assert b"\r\nconnection: close\r\n" in answer
