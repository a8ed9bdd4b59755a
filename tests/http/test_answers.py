"""What an application says, as it goes over the wire."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from idp.endpoints.whole import ANSWER
from tests.http.serving import serving
from tests.wire import statuses, wire_to

Header = tuple[bytes, bytes]


def start(status: int = 200, *headers: Header) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def content(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def at_once(body: bytes, *headers: Header) -> Message:
    return {"type": ANSWER, "status": 200, "headers": headers, "own": ((b"x-own", b"1"),), "body": body}


def length(size: int) -> Header:
    return b"content-length", str(size).encode()


ANSWERS: dict[str, list[Message]] = {
    "/whole": [start(200, length(5)), content(b"hello")],
    "/at-once": [at_once(b"hello", (b"x-common", b"1"))],
    "/at-once-large": [at_once(b"x" * 100_000)],
    "/at-once-last": [at_once(b"hello", (b"connection", b"close"))],
    "/at-once-length": [at_once(b"hello", length(5))],
    "/at-once-split": [at_once(b"hello", (b"x-a", b"b\r\nSet-Cookie: c=d"))],
    "/at-once-twice": [start(), at_once(b"hello"), content(b"")],
    "/unsaid": [start(), content(b"hello")],
    "/empty": [start(), content(b"")],
    "/bare": [start(), {"type": "http.response.body"}],
    "/stream": [start(), content(b"hel", more=True), content(b"", more=True), content(b"lo", more=True), content(b"")],
    "/counted-stream": [start(200, length(5)), content(b"hel", more=True), content(b"lo")],
    "/large": [start(200, length(3_000_000)), content(b"x" * 3_000_000)],
    "/204": [start(204, length(5)), content(b"hello")],
    "/304": [start(304, length(5)), content(b"")],
    "/599": [start(599), content(b"")],
    "/last": [start(200, (b"Connection", b"Close"), length(0)), content(b"")],
    "/own-framing": [start(200, (b"Transfer-Encoding", b"chunked")), content(b"hello")],
    "/split": [start(200, (b"x-a", b"b\r\nSet-Cookie: c=d")), content(b"")],
    "/split-name": [start(200, (b"x-a: b\r\nSet-Cookie", b"c=d")), content(b"")],
    "/nul": [start(200, (b"x-a", b"b\0c")), content(b"")],
    "/no-number": [start(200, (b"content-length", b"+5")), content(b"hello")],
    "/no-status": [start(100), content(b"")],
    "/too-short": [start(200, length(6)), content(b"hello")],
    "/too-long": [start(200, length(4)), content(b"hello")],
    "/nothing": [],
    "/only-start": [start()],
    "/content-first": [content(b"hello")],
    "/two-starts": [start(), start(), content(b"")],
    "/unfinished": [start(), content(b"hel", more=True)],
    "/stream-too-long": [start(200, length(4)), content(b"hel", more=True), content(b"lo")],
    "/stream-too-short": [start(200, length(6)), content(b"hel", more=True), content(b"lo")],
}


async def app(scope: Scope, _: Receive, send: Send) -> None:
    if scope["path"] == "/raise":
        raise RuntimeError("secret")
    for message in ANSWERS[scope["path"]]:
        await send(message)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(app) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


async def raw(url: str, request: str, version: str = "1.1") -> tuple[bytes, bytes]:
    """Head and content of the answer to a request that ends the connection."""
    async with wire_to(url) as connection:
        await connection.send(f"{request} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        head, _, rest = (await connection.rest()).partition(b"\r\n\r\n")
    return head.lower(), rest


class TestContent:
    """Where it ends (RFC 9112 §6.3)."""

    @pytest.mark.parametrize("path", ["/whole", "/unsaid", "/own-framing", "/at-once"])
    async def test_a_whole_answer_has_its_length(self, url: str, path: str) -> None:
        head, rest = await raw(url, f"GET {path}")
        assert (head.count(b"content-length: 5"), head.count(b"transfer-encoding"), rest) == (1, 0, b"hello")

    @pytest.mark.parametrize("path", ["/empty", "/bare"])
    async def test_an_empty_one_too(self, url: str, path: str) -> None:
        head, rest = await raw(url, f"GET {path}")
        assert b"content-length: 0" in head
        assert rest == b""

    async def test_a_streamed_one_comes_in_chunks(self, url: str) -> None:
        head, rest = await raw(url, "GET /stream")
        assert b"transfer-encoding: chunked" in head
        assert b"content-length" not in head
        assert rest == b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"

    async def test_http_1_0_knows_no_chunks(self, url: str) -> None:
        """RFC 9112 §6.1."""
        head, rest = await raw(url, "GET /stream", "1.0")
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        assert rest == b"hello"

    async def test_a_streamed_one_of_known_length(self, url: str) -> None:
        head, rest = await raw(url, "GET /counted-stream")
        assert b"transfer-encoding" not in head
        assert rest == b"hello"

    async def test_what_is_said_at_once_has_what_is_common_and_what_is_its_own(self, http: httpx.AsyncClient) -> None:
        for _ in range(2):
            answer = await http.get("/at-once")
            assert (answer.headers["x-common"], answer.headers["x-own"], answer.text) == ("1", "1", "hello")
            head = await http.head("/at-once")
            assert {**head.headers, "date": ""} == {**answer.headers, "date": ""}
        assert len((await http.get("/at-once-large")).content) == 100_000

    async def test_a_large_one(self, http: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(*(http.get("/large") for _ in range(4)))
        assert [len(answer.content) for answer in answers] == [3_000_000] * 4

    @pytest.mark.parametrize("path", ["/whole", "/unsaid", "/stream", "/counted-stream", "/204", "/304", "/at-once"])
    async def test_head_is_answered_with_a_head(self, url: str, path: str) -> None:
        """RFC 9110 §9.3.2. What follows on the connection is the next answer, not a body that nobody expects."""
        async with wire_to(url) as connection:
            await connection.send(b"HEAD %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
            await connection.send(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
            answers = await connection.rest()
        assert len(statuses(answers)) == 2
        assert re.search(rb"\r\n\r\nHTTP/1.1 200 OK", answers)
        assert b"hel" not in answers

    @pytest.mark.parametrize(("path", "says_length"), [("/204", False), ("/304", True)])
    async def test_these_have_none(self, url: str, path: str, says_length: bool) -> None:
        """RFC 9110 §8.6, §15.3.5, §15.4.5."""
        head, rest = await raw(url, f"GET {path}")
        assert (b"content-length: 5" in head) is says_length
        assert b"transfer-encoding" not in head
        assert rest == b""

    async def test_a_status_without_a_name(self, url: str) -> None:
        head, _ = await raw(url, "GET /599")
        assert head.startswith(b"http/1.1 599 \r\n")

    @pytest.mark.parametrize("path", [b"/last", b"/at-once-last"])
    async def test_the_application_may_end_the_connection(self, url: str, path: bytes) -> None:
        async with wire_to(url) as connection:
            await connection.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path * 2)
            answers = await connection.rest()
        assert statuses(answers) == [200]
        assert answers.lower().count(b"connection: close") == 1


class TestFaults:
    """A fault of the application is answered as such, and never by half an answer that looks like a whole one."""

    @pytest.mark.parametrize(
        "path",
        ["/raise", "/nothing", "/only-start", "/content-first", "/two-starts", "/too-short", "/too-long", "/split",
         "/split-name", "/nul", "/no-number", "/no-status", "/at-once-length", "/at-once-split", "/at-once-twice"],
    )  # fmt: skip
    async def test_500_with_nothing_of_what_was_said(
        self, url: str, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        head, rest = await raw(url, f"GET {path}")
        assert head.startswith(b"http/1.1 500 ")
        assert b"connection: close" in head
        assert b"set-cookie" not in head
        assert b"hello" not in rest
        assert b"secret" not in rest
        assert [record.levelno for record in caplog.records] == [logging.ERROR]

    @pytest.mark.parametrize("path", ["/unfinished", "/stream-too-long", "/stream-too-short"])
    async def test_what_has_begun_is_not_ended(self, http: httpx.AsyncClient, path: str) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(path)

    async def test_others_go_on(self, url: str, http: httpx.AsyncClient) -> None:
        await raw(url, "GET /raise")
        assert (await http.get("/whole")).text == "hello"


async def test_headers_are_the_applications_and_the_date(http: httpx.AsyncClient) -> None:
    answer = await http.get("/whole")
    assert sorted(answer.headers) == ["content-length", "date"]


async def test_answers_follow_each_other_on_one_connection(url: str) -> None:
    paths = [b"/whole", b"/stream", b"/at-once", b"/empty", b"/204", b"/at-once", b"/counted-stream", b"/last"]
    async with wire_to(url) as connection:
        await connection.send(b"".join(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths))
        answers = await connection.rest()
    assert statuses(answers) == [200, 200, 200, 200, 204, 200, 200, 200]
