"""A head that has come before means what it meant: whoever reads it again comes to the same, however it is cut."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from idp.cli.server import SERVER
from idp.endpoints.fields import FIELDS
from idp.endpoints.whole import BODY
from idp.http import connection as connections
from idp.http.connection import Connection, State
from idp.http.repeated import known_head
from tests.http.test_connection import Transport, settled

GET = b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


@dataclass
class Asked:
    """What the application has seen of a request: its scope before anybody has changed it, and its body."""

    scope: dict[str, Any]
    body: bytes


class Recorder:
    """Leaves its marks in each scope, as applications do."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked(dict(scope), b"")
        self.asked.append(asked)
        scope["path"], scope["client"], scope["mark"] = "/changed", ("changed", 1), len(self.asked)
        message = await receive()
        asked.body = message.get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": asked.body})


def connected(app: Recorder, state: State | None = None) -> tuple[Connection, Transport]:
    config = uvicorn.Config(app, **SERVER)
    config.load()
    connection, transport = Connection(config, state or State(), {}), Transport()
    connection.connection_made(transport)
    return connection, transport


async def told(pieces: Sequence[bytes], patient: bool) -> tuple[list[Asked], bytes, bool]:
    """What an application saw of these, what it answered, and whether that was all. Who is patient waits with each
    piece for the answer to what is before it."""
    app = Recorder()
    connection, transport = connected(app)
    for piece in pieces:
        connection.data_received(piece)
        if patient:
            await settled()
    await settled()
    connection.connection_lost(None)
    await settled()
    written = re.sub(rb"[0-9a-f]{16}", b"(a request id)", b"".join(transport.written))
    return app.asked, written, transport.closing


async def both_ways(
    pieces: Sequence[bytes], monkeypatch: pytest.MonkeyPatch, *, patient: bool = True
) -> tuple[list[Asked], int]:
    """What was seen, which is the same if every head is read anew; and how many were not."""
    known = 0
    repeat = Connection._repeat

    def counted(self: Connection, *args: Any) -> None:
        nonlocal known
        known += 1
        repeat(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_repeat", counted)
        seen = await told(pieces, patient)
    with monkeypatch.context() as patch:
        patch.setattr(connections, "known_head", lambda *_: None)
        assert await told(pieces, patient) == seen
    return seen[0], known


@pytest.mark.parametrize(
    "request_", [GET, POST + b"hello", GET.replace(b"X: y", b"Connection: keep-alive"), GET.replace(b"GET", b"HEAD")]
)
async def test_the_same_again(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, known = await both_ways([request_] * 4, monkeypatch)
    assert [each.scope for each in asked] == [asked[0].scope] * 4
    assert known == 3


async def test_another_body(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [b"hello", b"GET /", b"\r\n\r\n1", b"POST "]
    asked, known = await both_ways([POST + body for body in bodies], monkeypatch)
    assert [each.body for each in asked] == bodies
    assert known == 3


OTHERS = {
    "more": [POST + b"hello", POST + b"hello" + GET, GET],
    "less": [POST + b"hello", POST + b"hel", b"lo", GET],
    "only the head": [POST + b"hello", POST, b"hello"],
    "half a head": [GET, GET[:-2], GET[-2:], GET],
    "two at once": [GET + GET, GET + GET, GET],
    "empty lines before it": [b"\r\n\r\n" + GET, b"\r\n\r\n" + GET, GET],
    "another path": [GET, GET.replace(b"/a", b"/b"), GET],
    "another length": [POST + b"hello", POST.replace(b"5", b"3") + b"hello", GET],
    "another protocol": [GET.replace(b"X: y", b"Connection: Upgrade\r\nUpgrade: h2c")] * 3,
    "letters in another case": [GET, GET.replace(b"X:", b"x:"), GET.replace(b"X:", b"x:")],
}


@pytest.mark.parametrize("pieces", OTHERS.values(), ids=OTHERS)
async def test_something_else(pieces: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    await both_ways(pieces, monkeypatch)


UNKNOWN = {
    "the last": GET.replace(b"X: y", b"Connection: close"),
    "HTTP/1.0": GET.replace(b"1.1", b"1.0"),
    "a body that has to be asked for": POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") + b"hello",
    "chunks": b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a name twice": GET.replace(b"X: y", b"X: y\r\nX: z"),
    "a long one": GET.replace(b"y", b"y" * 4096),
    "trailers": b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    "a length of many digits": POST.replace(b"5", b"0" * 5000),
    "no host": GET.replace(b"Host: a\r\n", b""),
    "nonsense": b"GET /\r\n\r\n",
}


@pytest.mark.parametrize("request_", UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_always_read(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    _, known = await both_ways([request_] * 3, monkeypatch)
    assert known == 0


@pytest.mark.parametrize("patient", [True, False])
async def test_whatever_comes_however_it_is_cut(patient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(6)
    requests = [GET, GET, POST + b"hello", POST + b"hello", *UNKNOWN.values()]
    for _ in range(150):
        pieces = []
        for request in chance.choices(requests, [20] * 4 + [1] * len(UNKNOWN), k=8):
            cut = sorted(chance.sample(range(len(request)), chance.choice([0, 0, 0, 1, 2])))
            pieces += [request[start:end] for start, end in zip([0, *cut], [*cut, None], strict=True)]
        for at in range(len(pieces) - 1, 0, -1):
            if chance.random() < 0.1:
                pieces[at - 1 : at + 1] = [pieces[at - 1] + pieces[at]]
        await both_ways([piece for piece in pieces if piece], monkeypatch, patient=patient)


async def test_nothing_of_a_request_stays_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says may be a password."""
    app = Recorder()
    connection, _ = connected(app)
    for piece in (POST + b"hello", POST, b"hello", POST + b"other"):
        connection.data_received(piece)
        await settled()
    assert b"hello" not in repr(vars(connection)).encode()
    assert connection._replayable is None
    assert connection._known is not None
    assert BODY not in connection._known.scope()


async def test_trailers_are_not_kept() -> None:
    connection, _ = connected(Recorder())
    connection.data_received(UNKNOWN["trailers"])
    await settled()
    assert (b"a", b"b") not in connection._headers


async def test_while_it_drains_the_same_head_is_answered_for_the_last_time() -> None:
    app, state = Recorder(), State()
    connection, transport = connected(app, state)
    connection.data_received(GET)
    await settled()
    state.drain()
    connection.data_received(GET)
    await settled()
    assert [b"connection: close" in answer for answer in transport.written] == [False, True]
    assert transport.closing


async def test_those_that_wait_are_no_more_than_so_many() -> None:
    app = Recorder()
    connection, transport = connected(app)
    connection.data_received(GET)
    await settled()
    for _ in range(40):
        connection.data_received(GET)
    for _ in range(5):
        await settled()
    assert (len(app.asked), transport.closing) == (18, True)


def test_a_head_that_names_no_length_has_no_body() -> None:
    scope = {FIELDS: {b"host": b"a"}}
    head = known_head(GET, scope)
    assert head is not None
    assert head.body_in(GET) == b""
    assert head.body_in(GET + b"x") is None
    assert known_head(GET + b"x", scope) is None
