"""Starlette and FastAPI applications, asked over ASGI, with a real issuer behind them. RFC 6750."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from idp_verifier import Claims, Verifier
from idp_verifier.fastapi import FastAPIAuth
from idp_verifier.starlette import BearerAuth
from idp_verifier.testing import METADATA_PATH, LocalIssuer

AUDIENCE = "https://api.example.com"


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256") as issuer:
        yield issuer


@pytest.fixture(scope="module")
def verifier(issuer: LocalIssuer) -> Iterator[Verifier]:
    with Verifier(issuer.url, AUDIENCE) as verifier:
        yield verifier


def starlette_app(verifier: Verifier) -> Starlette:
    auth = BearerAuth(verifier)

    async def me(request: Request) -> Response:
        return JSONResponse((await auth.claims(request)).sub)

    @auth.requires("read", "list")
    async def things(request: Request) -> Response:
        return JSONResponse(request.state.claims.client_id)

    @auth.requires(role="admin")
    async def dashboard(_: Request) -> Response:
        return JSONResponse("welcome")

    return Starlette(routes=[Route("/me", me), Route("/things", things), Route("/dashboard", dashboard)])


def fastapi_app(verifier: Verifier) -> FastAPI:
    scopes = {"read": "Read things", "list": "List things"}
    auth = FastAPIAuth(verifier, token_url="http://localhost:8000/token", scopes=scopes)
    app = FastAPI()

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.current_user)]) -> str:
        return claims.sub

    @app.get("/things")
    async def things(claims: Annotated[Claims, Depends(auth.require_scope("read", "list"))]) -> str:
        return claims.client_id

    @app.get("/dashboard", dependencies=[Depends(auth.require_role("admin"))])
    async def dashboard() -> str:
        return "welcome"

    return app


@pytest.fixture(params=[starlette_app, fastapi_app], ids=["starlette", "fastapi"])
async def client(request: pytest.FixtureRequest, verifier: Verifier) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(request.param(verifier)) as client:
        yield client


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example.com")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


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
    headers = [("Authorization", f"Bearer {issuer.token()}")] * 2
    answer = await client.get("/me", headers=headers)
    assert answer.status_code == 400
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'


async def test_a_token_in_the_query_is_not_looked_at(client: httpx.AsyncClient, issuer: LocalIssuer) -> None:
    assert (await client.get("/me", params={"access_token": issuer.token()})).status_code == 401


@pytest.mark.parametrize("make_app", [starlette_app, fastapi_app])
async def test_without_keys_the_token_is_not_blamed(make_app: Any) -> None:
    with LocalIssuer("ES256") as issuer, Verifier(issuer.url, AUDIENCE) as verifier:
        del issuer.answers[METADATA_PATH]
        async with client_of(make_app(verifier)) as client:
            answer = await client.get("/me", headers=bearer(issuer.token()))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "WWW-Authenticate" not in answer.headers


async def test_the_middleware_of_starlette_works_with_it(issuer: LocalIssuer, verifier: Verifier) -> None:
    auth = BearerAuth(verifier)

    async def whoami(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name or "nobody")

    @requires("read")
    async def things(request: Request) -> Response:
        return PlainTextResponse(request.user.identity)

    middleware = [Middleware(AuthenticationMiddleware, backend=auth, on_error=auth.on_error)]
    app = Starlette(routes=[Route("/whoami", whoami), Route("/things", things)], middleware=middleware)
    async with client_of(app) as client:
        assert (await client.get("/whoami")).text == "nobody"
        token = issuer.token(sub="7", username="ana", scope="read")
        assert (await client.get("/whoami", headers=bearer(token))).text == "ana"
        assert (await client.get("/things", headers=bearer(token))).text == "7"
        assert (await client.get("/things", headers=bearer(issuer.token(roles=["read"])))).status_code == 403
        refused = await client.get("/whoami", headers=bearer("x"))
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


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
