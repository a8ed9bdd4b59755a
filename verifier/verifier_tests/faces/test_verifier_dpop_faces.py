"""Tokens that are bound to a key, at every face: RFC 9449 §7, asked over ASGI and WSGI."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated, Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx
import pytest
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from verifier_tests.faces.asking import AUDIENCE, WSGITransport

import idp_verifier.asgi
import idp_verifier.flask
import idp_verifier.wsgi
from idp_verifier import SUPPORTED_ALGORITHMS, Claims, ProtectedResource, TokenCookie, Verifier
from idp_verifier.fake_client import FakeClient
from idp_verifier.fastapi import FastAPIAuth
from idp_verifier.guard import CLAIMS
from idp_verifier.starlette import BearerAuth
from idp_verifier.testing import LocalIssuer

URI = f"{AUDIENCE}/v1/things"
ALGS = 'algs="RS256 PS256 ES256 EdDSA"'


@pytest.fixture(scope="module")
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def token(issuer: LocalIssuer, client: FakeClient) -> str:
    return issuer.token(sub="ana", scope="read", cnf=client.cnf)


# One application five times: whatever is beneath /v1 asks for the scope "read", and says whose token it was


def starlette_app(verifier: Verifier, **options: Any) -> Starlette:
    @BearerAuth(verifier, **options).requires("read")
    async def things(request: Request) -> Response:
        return PlainTextResponse(request.state.claims.sub)

    route = Route("/{path:path}", things, methods=["GET", "POST"])
    return Starlette(routes=[Mount("/v1", routes=[route])])


def fastapi_app(verifier: Verifier, **options: Any) -> FastAPI:
    auth = FastAPIAuth(verifier, token_url="http://localhost:8000/token", **options)
    app = FastAPI()

    async def things(path: str, claims: Annotated[Claims, Depends(auth.require_scope("read"))]) -> Response:
        return PlainTextResponse(claims.sub)

    app.add_api_route("/v1/{path:path}", things, methods=["GET", "POST"])
    return app


def flask_app(verifier: Verifier, **options: Any) -> WSGIApplication:
    auth = idp_verifier.flask.BearerAuth(verifier, **options)
    app = Flask(__name__)

    @app.route("/v1/<path:path>", methods=["GET", "POST"])
    def things(path: str) -> str:
        return auth.claims("read").sub

    return app


def asgi_app(verifier: Verifier, **options: Any) -> Any:
    async def app(scope: Any, _: Any, send: Any) -> None:
        await PlainTextResponse(scope[CLAIMS].sub)(scope, _, send)

    return idp_verifier.asgi.BearerMiddleware(app, verifier, scopes=["read"], **options)


def wsgi_app(verifier: Verifier, **options: Any) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ[CLAIMS].sub.encode()]

    return idp_verifier.wsgi.BearerMiddleware(app, verifier, scopes=["read"], **options)


Made = Callable[..., httpx.AsyncClient]


def asked(app: Callable[..., Any], transport: Callable[[Any], httpx.AsyncBaseTransport]) -> Made:
    return lambda *arguments, **options: httpx.AsyncClient(transport=transport(app(*arguments, **options)))


FACES = {
    "starlette": asked(starlette_app, httpx.ASGITransport),
    "fastapi": asked(fastapi_app, httpx.ASGITransport),
    "asgi": asked(asgi_app, httpx.ASGITransport),
    "flask": asked(flask_app, WSGITransport),
    "wsgi": asked(wsgi_app, WSGITransport),
}


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Made:
    return FACES[request.param]


@pytest.fixture
async def http(face: Made, verifier: Verifier) -> AsyncIterator[httpx.AsyncClient]:
    async with face(verifier) as http:
        yield http


# What is let in


async def test_a_bound_token_is_let_in_with_its_proof(http: httpx.AsyncClient, client: FakeClient, token: str) -> None:
    for method in ("GET", "POST"):
        answer = await http.request(method, f"{URI}?page=2", headers=client.headers(method, URI, token))
        assert (answer.status_code, answer.text) == (200, "ana")
    headers = client.headers("GET", URI, token)
    headers["Authorization"] = headers["Authorization"].replace("DPoP", "dPOP")
    assert (await http.get(URI, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/a:b@c,d;e=(f)", "/v1/a%20b", "/v1/%C3%A9", "/v1/~a-b._", "/v1/%25"])
async def test_the_path_is_the_one_that_was_asked_for(
    http: httpx.AsyncClient, client: FakeClient, token: str, path: str
) -> None:
    answer = await http.get(AUDIENCE + path, headers=client.headers("GET", AUDIENCE + path, token))
    assert answer.status_code == 200


async def test_behind_a_proxy_the_base_url_is_what_counts(
    face: Made, verifier: Verifier, client: FakeClient, token: str
) -> None:
    inside, outside = "http://10.0.0.7:8000/v1/things", "https://example.com/api/v1/things"
    async with face(verifier, base_url="https://example.com/api/") as http:
        assert (await http.get(inside, headers=client.headers("GET", outside, token))).status_code == 200
        assert (await http.get(inside, headers=client.headers("GET", inside, token))).status_code == 401
    for resource in (f"{AUDIENCE}/v1", AUDIENCE):
        async with face(verifier, resource=ProtectedResource(resource, [])) as http:
            assert (await http.get(inside, headers=client.headers("GET", URI, token))).status_code == 200
            assert (await http.get(inside, headers=client.headers("GET", inside, token))).status_code == 401


@pytest.mark.parametrize("url", ["http://api.example.com", "api.example.com", "https://api.example.com/?a=b", ""])
def test_not_every_text_is_a_base_url(face: Made, verifier: Verifier, url: str) -> None:
    with pytest.raises(ValueError, match=r"http|query"):
        face(verifier, base_url=url)


# What is not


async def refused(http: httpx.AsyncClient, headers: Any, status: int = 401) -> str:
    """The challenge that a request is answered with."""
    answer = await http.get(URI, headers=headers)
    assert answer.status_code == status
    return str(answer.headers["WWW-Authenticate"])


async def test_a_bound_token_is_no_bearer_token(http: httpx.AsyncClient, client: FakeClient, token: str) -> None:
    """§7.2: else a thief would only have to write another scheme, be there a proof or not."""
    for headers in ({}, {"DPoP": client.proof("GET", URI, token)}):
        challenge = await refused(http, {"Authorization": f"Bearer {token}", **headers})
        assert challenge.startswith('DPoP error="invalid_token", error_description="the token is bound to a key')
        assert challenge.endswith(ALGS)


async def test_a_bearer_token_is_no_bound_one(http: httpx.AsyncClient, client: FakeClient, issuer: LocalIssuer) -> None:
    challenge = await refused(http, client.headers("GET", URI, issuer.token()))
    assert challenge.startswith('DPoP error="invalid_token", error_description="the token is not bound to a key')


@pytest.mark.parametrize(
    ("method", "uri", "claims"),
    [
        ("POST", URI, {}),
        ("GET", f"{AUDIENCE}/v1/others", {}),
        ("GET", "http://api.example.com/v1/things", {}),
        ("GET", "https://other.example.com/v1/things", {}),
        ("GET", URI, {"ath": None}),
        ("GET", URI, {"iat": 1}),
        ("GET", URI, {"jti": None}),
    ],
)
async def test_a_proof_of_something_else_is_an_invalid_proof(
    http: httpx.AsyncClient, client: FakeClient, token: str, method: str, uri: str, claims: dict[str, Any]
) -> None:
    """§7.1: then the client needs a new proof, not a new token."""
    challenge = await refused(http, client.headers(method, uri, token, **claims))
    assert challenge.startswith('DPoP error="invalid_dpop_proof", error_description="the proof ')
    assert challenge.endswith(ALGS)


async def test_a_proof_is_needed_and_is_used_once(http: httpx.AsyncClient, client: FakeClient, token: str) -> None:
    headers = client.headers("GET", URI, token)
    assert (await http.get(URI, headers=headers)).status_code == 200
    assert 'error_description="the proof was used before"' in await refused(http, headers)
    del headers["DPoP"]
    assert (await refused(http, headers)).startswith('DPoP error="invalid_dpop_proof"')


async def test_a_thief_with_a_key_of_his_own_is_refused(http: httpx.AsyncClient, token: str) -> None:
    assert (await refused(http, FakeClient().headers("GET", URI, token))).startswith('DPoP error="invalid_dpop_proof"')


async def test_two_of_anything_are_an_invalid_request(http: httpx.AsyncClient, client: FakeClient, token: str) -> None:
    """§4.3: of two proofs one could have been checked by a proxy, and the other here."""
    one, another = (client.proof("GET", URI, token) for _ in range(2))
    authorization = ("Authorization", f"DPoP {token}")
    for headers in (
        [authorization, ("DPoP", one), ("DPoP", another)],
        [authorization, ("DPoP", f"{one}, {another}")],
    ):
        assert await refused(http, headers, 400) == f'DPoP error="invalid_request", {ALGS}'
    for headers in ([authorization, authorization], [("Authorization", f"DPoP {token}, DPoP {token}")]):
        await refused(http, [*headers, ("DPoP", one)], 400)


async def test_other_refusals_are_made_in_the_same_scheme(
    http: httpx.AsyncClient, client: FakeClient, issuer: LocalIssuer
) -> None:
    expired, narrow = issuer.token(cnf=client.cnf, exp=1), issuer.token(cnf=client.cnf)
    challenge = await refused(http, client.headers("GET", URI, expired))
    assert challenge == f'DPoP error="invalid_token", error_description="the token has expired", {ALGS}'
    challenge = await refused(http, client.headers("GET", URI, narrow), 403)
    assert challenge == f'DPoP error="insufficient_scope", scope="read", {ALGS}'


async def test_without_a_token_there_is_no_error(http: httpx.AsyncClient) -> None:
    for authorization in ("DPoP", "DPoP "):
        assert await refused(http, {"Authorization": authorization}) == "Bearer"


# RFC 9728


async def test_what_the_metadata_says_of_dpop_challenges_say_too(
    face: Made, verifier: Verifier, client: FakeClient, token: str
) -> None:
    resource = ProtectedResource(AUDIENCE, [], dpop_signing_alg_values_supported=SUPPORTED_ALGORITHMS)
    assert json.loads(resource.document())["dpop_signing_alg_values_supported"] == list(SUPPORTED_ALGORITHMS)
    named = f'resource_metadata="{resource.metadata_url}"'
    async with face(verifier, resource=resource) as http:
        assert await refused(http, {}) == f"Bearer {named}, DPoP {ALGS}, {named}"
        assert (await http.get(URI, headers=client.headers("GET", URI, token))).status_code == 200


async def test_where_bound_tokens_are_required_no_other_is_accepted(
    face: Made, verifier: Verifier, client: FakeClient, token: str, issuer: LocalIssuer
) -> None:
    resource = ProtectedResource(AUDIENCE, [], dpop_bound_access_tokens_required=True)
    cookie = TokenCookie("__Host-token", "https://app.example.com")
    assert json.loads(resource.document())["dpop_bound_access_tokens_required"] is True
    async with face(verifier, resource=resource, cookie=cookie) as http:
        named = f'{ALGS}, resource_metadata="{resource.metadata_url}"'
        assert await refused(http, {}) == f"DPoP {named}"
        bearer = issuer.token(scope="read")
        for headers in ({"Authorization": f"Bearer {bearer}"}, {"Cookie": f"__Host-token={bearer}"}):
            assert (await refused(http, headers)).startswith('DPoP error="invalid_token"')
        assert (await refused(http, client.headers("GET", URI, bearer))).startswith('DPoP error="invalid_token"')
        assert (await http.get(URI, headers=client.headers("GET", URI, token))).status_code == 200


def test_no_algorithm_is_named_that_is_not_accepted() -> None:
    with pytest.raises(ValueError, match="algorithms"):
        ProtectedResource(AUDIENCE, [], dpop_signing_alg_values_supported=["ES256", "none"])


# WebSockets


async def test_a_websocket_opens_with_a_proof_for_a_get(verifier: Verifier, client: FakeClient, token: str) -> None:
    """RFC 6455 §4.1: its handshake is one. Its scheme is that of HTTP, too."""
    sent: list[Any] = []

    async def app(scope: Any, _: Any, __: Any) -> None:
        sent.append({"sub": scope[CLAIMS].sub})

    async def send(message: Any) -> None:
        sent.append(message)

    for scheme, uri in {"wss": "https://api.example.com/live", "ws": "http://api.example.com/live"}.items():
        headers = {"host": "api.example.com", **client.headers("GET", uri, token)}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "scheme": scheme, "path": "/live", "headers": raw}
        await idp_verifier.asgi.BearerMiddleware(app, verifier)(scope, None, send)  # type: ignore[arg-type]
    assert sent == [{"sub": "ana"}] * 2
