"""Slow, huge and broken requests: each ends soon and in good order, and nobody else notices."""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import httpx
import pytest

from idp.http import bounds
from tests.conftest import CreateDatabase
from tests.service import Service, running, settings_for
from tests.wire import statuses, wire

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
HEAD = b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def impatient(create_database: CreateDatabase, migrated: str) -> Iterator[Service]:
    """A service in which a request has a moment to come in, and an answer to be taken."""
    with (
        pytest.MonkeyPatch.context() as patch,
        create_database(migrated) as dsn,
        running(settings_for(dsn, log_level="INFO")) as service,
    ):
        patch.setattr(bounds, "REQUEST_SECONDS", 0.3)
        patch.setattr(bounds, "ANSWER_SECONDS", 0.3)
        yield service


def assert_refused(answer: bytes, status: int) -> None:
    """Once, in the form of every other answer, and then no more."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    headers = httpx.Headers(
        [(name, value) for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n")[1:])]
    )
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["request_id"] == headers["x-request-id"]


async def test_nothing_comes(impatient: Service) -> None:
    async with wire(impatient) as connection:
        assert await connection.rest() == b""


@pytest.mark.parametrize("sent", [b"\r\n", b"P", HEAD, HEAD + b"Content-Length: 9\r\n\r\n", HEAD + b"X: " + b"x" * 999])
async def test_the_rest_never_comes(impatient: Service, sent: bytes) -> None:
    async with wire(impatient) as connection:
        await connection.send(sent)
        assert_refused(await connection.rest(), 408)


@pytest.mark.parametrize(
    ("sent", "piece"),
    [
        (HEAD, b"X-A: b\r\n"),
        (HEAD + b"Content-Length: 999\r\n\r\n", b"a"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"", b"\r\n"),
    ],
    ids=["head", "body", "chunks", "empty lines"],
)
async def test_the_rest_comes_drop_by_drop(impatient: Service, sent: bytes, piece: bytes) -> None:
    async with wire(impatient) as connection:
        sending = asyncio.create_task(connection.send(sent, *[piece] * 100, pause=0.02))
        assert_refused(await connection.rest(), 408)
        sending.cancel()


async def test_a_second_request_that_never_ends(impatient: Service) -> None:
    async with wire(impatient) as connection:
        await connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await connection.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        await connection.send(b"GET /healthz HTTP/1.1\r\n")
        assert_refused(await connection.rest(), 408)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000],
        [b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n"],
        [b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 9_000],
        [b"G" * 40_000],
        [b"\r\n" * 20_000],
        [b"GET / HTTP/1.1\r\nX: ", *[b"x" * 65_536] * 200],
    ],
    ids=["endless header", "long header", "long path", "many headers", "no method", "empty lines", "13 MB"],
)
async def test_a_huge_head(service: Service, pieces: list[bytes]) -> None:
    async with wire(service) as connection:
        sending = asyncio.create_task(connection.send(*pieces))
        answer = await connection.rest()
        await sending
    if answer:  # what was still on its way may have reset the connection before the answer was read
        assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
        assert_refused(answer, int(answer[9:12]))


async def test_the_largest_head_that_is_allowed(service: Service) -> None:
    async with wire(service) as connection:
        await connection.send(
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: " + b"x" * 30_000 + b"\r\n\r\n"
        )
        assert (await connection.rest()).startswith(b"HTTP/1.1 200 ")


async def test_trailers_without_end(service: Service) -> None:
    async with wire(service) as connection:
        start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
        sending = asyncio.create_task(connection.send(start, *[b"X: " + b"x" * 10_000 + b"\r\n"] * 500))
        answer = await connection.rest()
        await sending
    assert not answer or answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(9),
)
async def test_what_is_not_http(service: Service, sent: bytes) -> None:
    """Two lengths or two framings above all: a proxy may have believed the other one (RFC 9112 §11.2)."""
    async with wire(service) as connection:
        await connection.send(sent)
        assert_refused(await connection.rest(), 400)


async def counted(service: Service) -> Counter[str]:
    """How many answers there were, by route, method and status."""
    async with httpx.AsyncClient(base_url=service.url) as http:
        text = (await http.get("/metrics")).text
    values = (line.rpartition(" ") for line in text.splitlines() if line.startswith("idp_http_requests_total{"))
    return Counter({labels: int(float(value)) for labels, _, value in values if "/metrics" not in labels})


async def logged(request_id: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """What the log has of a request, as soon as it has anything."""
    written = ""
    async with asyncio.timeout(15):
        while request_id not in written:
            await asyncio.sleep(0.02)
            written += capsys.readouterr().err
    return [json.loads(line) for line in written.splitlines() if request_id in line]


@pytest.mark.parametrize(
    ("sent", "status", "route", "method"),
    [
        (b"P", 408, "other", "other"),
        (HEAD + b"Content-Length: 9\r\n\r\n", 408, "/token", "POST"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "/token", "POST"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "other", "other"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 33_000, 431, "other", "other"),
    ],
    ids=["no head", "no body", "bad body", "bad head", "huge head"],
)
async def test_what_is_refused_is_counted_and_logged_once(
    impatient: Service, capsys: pytest.CaptureFixture[str], *, sent: bytes, status: int, route: str, method: str
) -> None:
    """A flood of such requests must be seen, and each must be found by the id that its sender was given."""
    before = await counted(impatient)
    async with wire(impatient) as connection:
        await connection.send(sent)
        answer = await connection.rest()
    assert_refused(answer, status)
    request_id = json.loads(answer.partition(b"\r\n\r\n")[2])["request_id"]
    (line,) = await logged(request_id, capsys)
    assert line["event"] == "request"
    assert (line["route"], line["method"], line["status"], line["source"]) == (route, method, status, "127.0.0.1")
    assert isinstance(line["ms"], float)
    labels = f'idp_http_requests_total{{method="{method}",route="{route}",status="{status}"}}'
    assert await counted(impatient) - before == {labels: 1}


async def test_others_do_not_notice(impatient: Service) -> None:
    async with contextlib.AsyncExitStack() as stack, httpx.AsyncClient(base_url=impatient.url) as http:
        for _ in range(200):
            connection = await stack.enter_async_context(wire(impatient))
            await connection.send(HEAD)
        for _ in range(20):
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/.well-known/jwks.json")).status_code == 200


async def test_a_client_that_does_not_wait_for_its_answer(service: Service, http: httpx.AsyncClient) -> None:
    for _ in range(20):
        async with wire(service) as connection:
            await connection.send(HEAD + b"Content-Length: 29\r\n\r\nusername=nobody&password=wrong")
    assert (await http.get("/healthz")).status_code == 200


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
"""What several clients send with each request unless they are told not to (Java's, curl with --http2)."""


class TestUpgrade:
    """RFC 9110 §7.8: we offer no other protocol, so it is a request like any other."""

    @pytest.mark.parametrize(
        "framed",
        [
            lambda body: b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
            lambda body: b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        ],
        ids=["length", "chunks"],
    )
    @pytest.mark.parametrize("step", [1, 7, 10_000])
    async def test_its_body_is_its_own(self, service: Service, framed: Callable[[bytes], bytes], step: int) -> None:
        """Not a request that somebody smuggled through a proxy."""
        sent = HEAD + UPGRADE + framed(GET + b"\r\n") + GET + b"Connection: close\r\n\r\n"
        async with wire(service) as connection:
            await connection.send(*(sent[start : start + step] for start in range(0, len(sent), step)))
            answers = await connection.rest()
        assert statuses(answers) == [400, 200]

    async def test_requests_that_follow_it_are_answered(self, service: Service) -> None:
        asks = GET + UPGRADE + b"\r\n"
        async with wire(service) as connection:
            await connection.send(asks * 5 + GET + b"Connection: close\r\n\r\n")
            assert statuses(await connection.rest()) == [200] * 6

    async def test_a_tunnel_is_refused(self, service: Service) -> None:
        async with wire(service) as connection:
            await connection.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
            assert_refused(await connection.rest(), 400)


class TestTarget:
    """RFC 9112 §3.2: who is asked, and for what."""

    @pytest.mark.parametrize("host", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n", b"Host: a/b\r\n"])
    async def test_not_exactly_one_host_is_refused(self, service: Service, host: bytes) -> None:
        async with wire(service) as connection:
            await connection.send(b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n")
            assert_refused(await connection.rest(), 400)

    @pytest.mark.parametrize(
        "start",
        [
            b"GET /healthz HTTP/1.1\r\nHost:",
            b"GET /healthz HTTP/1.1\r\nHost: id.example.com:8443",
            b"GET /healthz HTTP/1.1\r\nHost: [::1]:80",
            b"GET http://a/healthz HTTP/1.1\r\nHost: a",
            b"GET http://a/healthz?b HTTP/1.1\r\nHost: a",
            b"GET /healthz HTTP/1.0",
        ],
        ids=range(6),
    )
    async def test_these_ask_for_the_same(self, service: Service, start: bytes) -> None:
        async with wire(service) as connection:
            await connection.send(start + b"\r\nConnection: close\r\n\r\n")
            assert statuses(await connection.rest()) == [200]

    @pytest.mark.parametrize("target", [b"http://a", b"http://a?b"])
    async def test_an_absolute_one_may_have_no_path(self, service: Service, target: bytes) -> None:
        async with wire(service) as connection:
            await connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert statuses(await connection.rest()) == [404]


class TestOrder:
    """One final answer for each request (RFC 9110 §15), in the order of the requests (RFC 9112 §9.3.2)."""

    async def test_what_is_under_way_is_answered_before_garbage_ends_the_connection(self, service: Service) -> None:
        body = b"grant_type=password&username=hasty&password=wrong&client_id=default-client"
        async with wire(service) as connection:
            await connection.send(HEAD + b"Content-Length: %d\r\n\r\n%b\0garbage\r\n\r\n" % (len(body), body))
            answer = await connection.rest()
        assert statuses(answer) == [400]
        assert b"invalid_grant" in answer

    async def test_a_body_that_comes_after_the_answer_gets_none(self, service: Service) -> None:
        async with wire(service) as connection:
            await connection.send(HEAD + b"Content-Length: 3000000\r\n\r\n")
            assert (await connection.reader.readuntil(b"}")).startswith(b"HTTP/1.1 413 ")
            await connection.send(*[b"a" * 60_000] * 40)
            assert await connection.rest() == b""

    async def test_a_body_that_does_not_come_after_the_answer_gets_none(self, impatient: Service) -> None:
        async with wire(impatient) as connection:
            await connection.send(GET + b"Content-Length: 10\r\n\r\n")
            assert statuses(await connection.rest()) == [200]


class TestAnswersThatWait:
    """A client that asks and does not listen holds little, and not for long."""

    async def test_so_many_are_queued(self, service: Service) -> None:
        async with wire(service) as wired:
            await wired.send((GET + b"\r\n") * 3_000)
            answers = await wired.rest()
        assert statuses(answers) == [200] * (1 + bounds.MAX_PIPELINED)
        assert answers.count(b"connection: close") == 1

    async def test_who_takes_nothing_is_left(self, impatient: Service) -> None:
        async with wire(impatient) as connection:
            await connection.send(await asset(impatient) * 17)
            async with asyncio.timeout(15):
                while connection.is_open_there:  # noqa: ASYNC110 - it is the service that ends it
                    await asyncio.sleep(0.05)

    async def test_who_is_slow_gets_everything(self, impatient: Service) -> None:
        request, received = await asset(impatient), 0
        async with wire(impatient) as connection:
            await connection.send(request * 7 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while len(piece := await connection.reader.read(1_000_000)) and received < 2_000_000:
                received += len(piece)
                await asyncio.sleep(0.02)
            rest = await connection.rest()
        assert received + len(rest) > 8 * 1_000_000


async def asset(service: Service) -> bytes:
    """A request for the largest answer that there is."""
    async with httpx.AsyncClient(base_url=service.url) as http:
        page = (await http.get("/docs")).text
    found = re.search(r'src="([^"]+swagger-ui[^"]+)"', page)
    assert found is not None
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % urljoin("/docs", found[1]).encode()
