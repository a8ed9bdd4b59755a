"""Applications behind every face, asked over ASGI and WSGI, with a real issuer behind them. RFC 6750, RFC 9728."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx
import pytest
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from verifier_tests.faces.asking import AUDIENCE, COOKIE, WSGITransport, bearer

import idp_verifier.asgi
import idp_verifier.flask
import idp_verifier.wsgi
from idp_verifier import Claims, Verifier
from idp_verifier.fastapi import FastAPIAuth
from idp_verifier.flask import current_claims
from idp_verifier.guard import CLAIMS
from idp_verifier.resource import ProtectedResource
from idp_verifier.starlette import BearerAuth, metadata_route
from idp_verifier.testing import METADATA_PATH, LocalIssuer

RESOURCE = ProtectedResource("https://api.example.com/v1", ["https://id.example.com"], ["read", "list"], "Things")
METADATA = "/.well-known/oauth-protected-resource/v1"


# One application five times: /me for everybody, /things for two scopes, /dashboard for a role


def starlette_app(verifier: Verifier, **options: Any) -> Starlette:
    auth = BearerAuth(verifier, **options)

    async def me(request: Request) -> Response:
        return JSONResponse((await auth.claims(request)).sub)

    @auth.requires("read", "list")
    async def things(request: Request) -> Response:
        return JSONResponse(request.state.claims.client_id)

    @auth.requires(role="admin")
    async def dashboard(_: Request) -> Response:
        return JSONResponse("welcome")

    routes = [
        Route("/me", me, methods=["GET", "POST"]),
        Route("/things", things),
        Route("/dashboard", dashboard),
        metadata_route(RESOURCE),
    ]
    return Starlette(routes=routes)


def fastapi_app(verifier: Verifier, **options: Any) -> FastAPI:
    scopes = {"read": "Read things", "list": "List things"}
    auth = FastAPIAuth(verifier, token_url="http://localhost:8000/token", scopes=scopes, **options)
    app = FastAPI()
    app.router.routes.append(metadata_route(RESOURCE))

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.current_user)]) -> str:
        return claims.sub

    @app.post("/me")
    async def change_me(claims: Annotated[Claims, Depends(auth.current_user)]) -> str:
        return claims.sub

    @app.get("/things")
    async def things(claims: Annotated[Claims, Depends(auth.require_scope("read", "list"))]) -> str:
        return claims.client_id

    @app.get("/dashboard", dependencies=[Depends(auth.require_role("admin"))])
    async def dashboard() -> str:
        return "welcome"

    return app


def flask_app(verifier: Verifier, **options: Any) -> Flask:
    auth = idp_verifier.flask.BearerAuth(verifier, **options)
    app = Flask(__name__)
    idp_verifier.flask.add_metadata(app, RESOURCE)

    @app.route("/me", methods=["GET", "POST"])
    @auth.requires()
    def me() -> str:
        return json.dumps(current_claims.sub)

    @app.get("/things")
    def things() -> str:
        return json.dumps(auth.claims("read", "list").client_id)

    @app.get("/dashboard")
    @auth.requires(role="admin")
    def dashboard() -> str:
        return json.dumps("welcome")

    return app


DEMANDS: dict[str, dict[str, Any]] = {
    "/me": {},
    "/things": {"scopes": ["read", "list"]},
    "/dashboard": {"role": "admin"},
    METADATA: {},
}


def body_of(path: str, claims: Claims) -> bytes:
    return json.dumps({"/me": claims.sub, "/things": claims.client_id, "/dashboard": "welcome"}[path]).encode()


def asgi_app(verifier: Verifier, **options: Any) -> Any:
    async def app(scope: Any, _: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body_of(scope["path"], scope[CLAIMS])})

    guarded = {
        path: idp_verifier.asgi.BearerMiddleware(app, verifier, **demand, **options) for path, demand in DEMANDS.items()
    }

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await guarded[scope["path"]](scope, receive, send)

    return dispatch


def wsgi_app(verifier: Verifier, **options: Any) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body_of(environ["PATH_INFO"], environ[CLAIMS])]

    guarded = {
        path: idp_verifier.wsgi.BearerMiddleware(app, verifier, **demand, **options) for path, demand in DEMANDS.items()
    }
    return lambda environ, start_response: guarded[environ["PATH_INFO"]](environ, start_response)


@dataclass(frozen=True)
class Face:
    """How the application is made, and how it is asked."""

    app: Callable[..., Any]
    transport: Callable[[Any], httpx.AsyncBaseTransport]

    def client(self, verifier: Verifier, **options: Any) -> httpx.AsyncClient:
        transport = self.transport(self.app(verifier, **options))
        return httpx.AsyncClient(transport=transport, base_url="https://api.example.com")


FACES = {
    "starlette": Face(starlette_app, httpx.ASGITransport),
    "fastapi": Face(fastapi_app, httpx.ASGITransport),
    "asgi": Face(asgi_app, httpx.ASGITransport),
    "flask": Face(flask_app, WSGITransport),
    "wsgi": Face(wsgi_app, WSGITransport),
}


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Face:
    return FACES[request.param]


@pytest.fixture
async def client(face: Face, verifier: Verifier) -> AsyncIterator[httpx.AsyncClient]:
    async with face.client(verifier) as client:
        yield client


async def test_a_good_token_is_let_in(client: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    token = issuer.token(sub="ana", scope="list read more", roles=["user", "admin"])
    for path, body in {"/me": "ana", "/things": "web", "/dashboard": "welcome"}.items():
        answer = await client.get(path, headers=bearer(token))
        assert (answer.status_code, answer.json()) == (200, body)
    assert (await client.get("/me", headers={"Authorization": f"bEARER {token}"})).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"Authorization": ""}]
)
async def test_without_a_token_the_challenge_has_no_error(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """RFC 6750 §3.1."""
    answer = await client.get("/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Not authenticated" in answer.text


async def test_a_bad_token_is_an_invalid_token(client: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    answer = await client.get("/me", headers=bearer(issuer.token(exp=1)))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="the token has expired"'
    )
    for token in ("x", "é", "a b", issuer.token(aud="https://other.example.com"), issuer.token() + "A"):
        answer = await client.get("/me", headers=[(b"authorization", f"Bearer {token}".encode())])
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", ')


async def test_a_token_without_the_scope_is_told_which(client: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    answer = await client.get("/things", headers=bearer(issuer.token(scope="read reading lis")))
    assert answer.status_code == 403
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="read list"'


@pytest.mark.parametrize("roles", [[], ["administrator"], ["Admin"], None])
async def test_a_user_without_the_role_is_told_which(
    client: httpx.AsyncClient, issuer: LocalIssuer, roles: list[str] | None
) -> None:
    answer = await client.get("/dashboard", headers=bearer(issuer.token(roles=roles, scope="admin")))
    assert answer.status_code == 403
    assert "Admin access required" in answer.text


async def test_two_tokens_are_an_invalid_request(client: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    """RFC 6750 §2. Servers and proxies may make one header of two; those of WSGI always do."""
    two = [("Authorization", f"Bearer {issuer.token()}")] * 2
    one = {"Authorization": ", ".join(value for _, value in two)}
    for headers in (one, two):
        answer = await client.get("/me", headers=headers)
        assert answer.status_code == 400
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'


async def test_a_token_in_the_query_is_not_looked_at(client: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    assert (await client.get("/me", params={"access_token": issuer.token()})).status_code == 401


async def test_without_keys_the_token_is_not_blamed(face: Face) -> None:
    with LocalIssuer("ES256") as issuer, Verifier(issuer.url, AUDIENCE) as verifier:
        del issuer.answers[METADATA_PATH]
        async with face.client(verifier) as client:
            answer = await client.get("/me", headers=bearer(issuer.token()))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "WWW-Authenticate" not in answer.headers


async def test_a_cookie_carries_the_token_where_asked(face: Face, verifier: Verifier, issuer: LocalIssuer) -> None:
    cookie = {"Cookie": f"theme=dark; __Host-token={issuer.token(sub='ana')}"}
    async with face.client(verifier) as client:
        assert (await client.get("/me", headers=cookie)).status_code == 401
    own = {"Sec-Fetch-Site": "same-origin", "Origin": COOKIE.origin}
    async with face.client(verifier, cookie=COOKIE) as client:
        for headers in (cookie, cookie | own, bearer(issuer.token(sub="ana"))):
            assert (await client.get("/me", headers=headers)).json() == "ana"
        assert (await client.post("/me", headers=cookie | own)).json() == "ana"
        for forged in ({}, {"Origin": COOKIE.origin}, own | {"Sec-Fetch-Site": "cross-site"}):
            refused = await client.post("/me", headers=cookie | forged)
            assert refused.status_code == 403
            assert "Cross-site request" in refused.text
        answer = await client.get("/me", headers=cookie | bearer(issuer.token()))
        assert answer.status_code == 400
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'


async def test_rfc9728_the_metadata_is_there_for_anybody(face: Face, verifier: Verifier) -> None:
    async with face.client(verifier, resource=RESOURCE) as client:
        answer = await client.get(METADATA)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.json() == {
            "resource": "https://api.example.com/v1",
            "authorization_servers": ["https://id.example.com"],
            "scopes_supported": ["read", "list"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Things",
        }
        assert (await client.post(METADATA)).status_code in {401, 405}
        assert (await client.head(METADATA)).content == b""


async def test_rfc9728_challenges_name_the_metadata(face: Face, verifier: Verifier, issuer: LocalIssuer) -> None:
    named = f'resource_metadata="https://api.example.com{METADATA}"'
    async with face.client(verifier, resource=RESOURCE) as client:
        assert (await client.get("/me")).headers["WWW-Authenticate"] == f"Bearer {named}"
        refused = await client.get("/me", headers=bearer("x"))
        assert refused.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", ')
        assert refused.headers["WWW-Authenticate"].endswith(f", {named}")
        refused = await client.get("/things", headers=bearer(issuer.token(scope="read")))
        assert refused.headers["WWW-Authenticate"].endswith(f'scope="read list", {named}')


async def test_openapi_describes_the_flows_that_swagger_offers(verifier: Verifier) -> None:
    document = fastapi_app(verifier).openapi()
    flow = {
        "tokenUrl": "http://localhost:8000/token",
        "scopes": {"read": "Read things", "list": "List things"},
    }
    assert document["components"]["securitySchemes"] == {
        "idp": {"type": "oauth2", "flows": {"password": flow, "clientCredentials": flow}}
    }
    security = {path: item["get"]["security"] for path, item in document["paths"].items()}
    assert security == {
        "/me": [{"idp": []}],
        "/things": [{"idp": ["read", "list"]}],
        "/dashboard": [{"idp": []}],
    }
    assert all("parameters" not in item["get"] for item in document["paths"].values())


async def test_swagger_reads_the_locks_from_the_served_document(verifier: Verifier) -> None:
    async with FACES["fastapi"].client(verifier) as client:
        document = (await client.get("/openapi.json")).json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert set(scheme["flows"]) == {"password", "clientCredentials"}
    operations = {(path, method) for path, item in document["paths"].items() for method in item}
    assert operations == {("/me", "get"), ("/me", "post"), ("/things", "get"), ("/dashboard", "get")}
    assert all(document["paths"][path][method]["security"] for path, method in operations)
