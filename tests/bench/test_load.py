"""The client that measures: it sees every answer once, comes again when told to, and follows rotating tokens."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest

from bench.load import form
from bench.load.client import closed_loop, open_loop
from bench.load.http import Request, parse

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

Respond = Callable[[bytes], bytes]
"""From a request to what is sent back."""


@contextlib.asynccontextmanager
async def serving(respond: Respond, *, hang_up: bool = False) -> AsyncIterator[int]:
    """A server on a free port that reads one request at a time."""

    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        served.add(task)
        with contextlib.suppress(ConnectionError):
            while request := await reader.read(4096):
                writer.write(respond(request))
                if hang_up:
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*served)


async def test_an_answer_in_pieces_is_complete_with_its_last_one() -> None:
    assert parse(ANSWER[:10]) is None
    assert parse(ANSWER[:-1]) is None
    answer = parse(ANSWER)
    assert answer
    assert (answer.status, answer.body, answer.good, answer.last) == (b"200", b"ok", True, False)


async def test_a_chunked_answer_is_complete_with_its_last_chunk() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    assert parse(chunked[:-2]) is None
    assert parse(chunked)


async def test_a_form_carries_credentials_and_its_length() -> None:
    text = form("/token", ("client", "secret"), grant_type="client_credentials").text()
    assert "Authorization: Basic Y2xpZW50OnNlY3JldA==\r\n" in text
    assert "Content-Length: 29\r\n\r\ngrant_type=client_credentials" in text


async def test_a_closed_loop_counts_good_and_bad_answers() -> None:
    turns = iter(range(1_000_000))
    async with serving(lambda _: ANSWER if next(turns) % 2 else BAD) as port:
        seen = await closed_loop(port, ["GET / HTTP/1.1\r\n\r\n"] * 4, callers=4, seconds=0.1, patient=False)
    asked = next(turns)
    assert seen["count"] + seen["failures"] == asked > 4
    assert abs(seen["count"] - seen["failures"]) <= 1
    assert "400" in seen["failure"]


@pytest.mark.parametrize("patient", [True, False])
async def test_the_patient_come_again_when_they_are_told_to(patient: bool) -> None:
    async with serving(lambda _: BUSY) as port:
        seen = await closed_loop(port, ["GET / HTTP/1.1\r\n\r\n"], callers=1, seconds=0.1, patient=patient)
    assert seen["count"] == 0
    assert (seen["shed"] == 1 and seen["failures"] == 0) if patient else (seen["shed"] == 0 and seen["failures"] > 1)


async def test_the_patient_have_waited_since_they_first_asked() -> None:
    turns = iter(range(1_000_000))
    async with serving(lambda _: ANSWER if next(turns) == 1 else BUSY) as port:
        seen = await closed_loop(port, ["GET / HTTP/1.1\r\n\r\n"], callers=1, seconds=2, patient=True)
    assert (seen["count"], seen["shed"], seen["failures"]) == (1, 2, 0)
    assert seen["p99"] >= 1.0  # the pause that it was told of is part of it


async def test_who_is_still_to_come_at_the_end_counts_as_waiting_not_as_answered() -> None:
    async with serving(lambda _: BUSY) as port:
        seen = await closed_loop(port, ["GET / HTTP/1.1\r\n\r\n"] * 2, callers=2, seconds=0.1, patient=True)
    assert (seen["count"], seen["shed"]) == (0, 2)
    assert seen["p99"] > 0


async def test_a_server_that_hangs_up_is_connected_to_again() -> None:
    last = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(lambda _: last, hang_up=True) as port:
        seen = await closed_loop(port, ["GET / HTTP/1.1\r\n\r\n"], callers=1, seconds=0.1, patient=False)
    assert seen["count"] > 1
    assert seen["failures"] == 0


async def test_a_connection_that_ends_without_an_answer_is_a_failure() -> None:
    async with serving(lambda _: b"", hang_up=True) as port:
        seen = await closed_loop(port, ["GET / HTTP/1.1\r\n\r\n"], callers=1, seconds=0.05, patient=False)
    assert seen["count"] == 0
    assert seen["failures"] > 0


async def test_refresh_tokens_rotate_each_in_its_own_family() -> None:
    spent: list[str] = []

    def rotate(request: bytes) -> bytes:
        family, _, number = request.rpartition(b"=")[2].decode().partition(".")
        spent.append(f"{family}.{number}")
        body = json.dumps({"refresh_token": f"{family}.{int(number) + 1:06}"}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    first = [form("/token", grant_type="refresh_token", refresh_token=f"{name}.000000") for name in "abcd"]
    async with serving(rotate) as port:
        seen = await closed_loop(port, [each.text() for each in first], callers=2, seconds=0.1, patient=False)
    assert seen["count"] == len(spent) == len(set(spent)) > 4
    held = {text.rpartition("=")[2] for text in seen["requests"]}
    assert {name.partition(".")[0] for name in held} == set("abcd")
    assert held.isdisjoint(spent)


async def test_an_open_loop_asks_at_its_own_pace() -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return ANSWER

    async with serving(answer) as port:
        seen = await open_loop(port, Request("GET", "/").text(), seconds=0.1, rate=200)
    assert seen["count"] == len(asked) == 20
