"""idp-verifier's TokenCookie in a real browser: its own pages may use it, those of a neighbour may not (S1).

The neighbour is another port of the same host. For cookies, and for SameSite, that is no difference at all: the
browser sends the cookie along, and nothing but the verifier stands in the way.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from idp_verifier import Verifier
from idp_verifier.bearer import TokenCookie
from idp_verifier.starlette import BearerAuth
from idp_verifier.testing import LocalIssuer

pytestmark = pytest.mark.asyncio(loop_scope="session")

FETCH = "([url, method]) => fetch(url, {method, mode: 'no-cors', credentials: 'include'}).then(() => null)"
SUBMIT = """([url, method]) => {
    const form = Object.assign(document.createElement('form'), {action: url, method})
    document.body.append(form)
    form.submit()
}"""


@dataclass(frozen=True)
class Sites:
    """A service with a token in a cookie, and a page at another port of its host."""

    own: str
    neighbour: str


@pytest.fixture
def sites() -> Iterator[Sites]:
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        own, neighbour = (f"http://localhost:{place.getsockname()[1]}" for place in places)
        issuer = stack.enter_context(LocalIssuer("ES256"))
        verifier = stack.enter_context(Verifier(issuer.url, "https://api.example.com"))
        stack.enter_context(serving(app_of(issuer, BearerAuth(verifier, cookie=TokenCookie("token", own))), places))
        yield Sites(own, neighbour)


def app_of(issuer: LocalIssuer, auth: BearerAuth) -> Starlette:
    async def page(_: Request) -> Response:
        return HTMLResponse("<!doctype html><link rel=icon href='data:,'><body>")

    async def log_in(_: Request) -> Response:
        answer = PlainTextResponse("logged in")
        answer.set_cookie("token", issuer.token(), httponly=True, samesite="strict")
        return answer

    async def me(request: Request) -> Response:
        assert "token" in request.cookies  # whoever asked
        await auth.claims(request)
        return PlainTextResponse("welcome")

    return Starlette(routes=[Route("/", page), Route("/log-in", log_in), Route("/me", me, methods=["GET", "POST"])])


@contextlib.contextmanager
def serving(app: Any, places: list[socket.socket]) -> Iterator[None]:
    """Serves in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=places)))
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    ("script", "method", "neighbour_status"),
    [
        (FETCH, "GET", 403),
        (FETCH, "POST", 403),
        (SUBMIT, "POST", 403),
        (SUBMIT, "GET", 200),  # no more than a link that is followed
    ],
    ids=["fetch-GET", "fetch-POST", "form-POST", "form-GET"],
)
async def test_s1_a_cookie_is_for_the_pages_of_its_origin(
    chromium: Browser, sites: Sites, script: str, method: str, neighbour_status: int
) -> None:
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(sites.own + "/log-in")
    for site, status in ((sites.own, 200), (sites.neighbour, neighbour_status)):
        page = await context.new_page()
        await page.goto(site)
        async with page.expect_response(lambda answer: "/me" in answer.url) as asked:
            await page.evaluate(script, [sites.own + "/me", method])
        assert (await asked.value).status == status
    await context.close()
