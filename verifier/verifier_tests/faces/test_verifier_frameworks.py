"""What only one framework has: Starlette's AuthenticationMiddleware, Flask's proxies and error handlers."""

import json
from typing import Any

import httpx
import pytest
from flask import Blueprint, Flask
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from verifier_tests.faces.asking import AUDIENCE, COOKIE, bearer
from werkzeug.exceptions import HTTPException

import idp_verifier.flask
from idp_verifier import Verifier
from idp_verifier.flask import current_claims
from idp_verifier.starlette import BearerAuth
from idp_verifier.testing import METADATA_PATH, LocalIssuer

# Starlette


def asking(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example.com")


def whoami_app(auth: BearerAuth) -> Starlette:
    async def whoami(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name or "nobody")

    @requires("read")
    async def things(request: Request) -> Response:
        return PlainTextResponse(request.user.identity)

    middleware = [Middleware(AuthenticationMiddleware, backend=auth, on_error=auth.on_error)]
    return Starlette(routes=[Route("/whoami", whoami), Route("/things", things)], middleware=middleware)


async def test_the_middleware_of_starlette_works_with_it(issuer: LocalIssuer, verifier: Verifier) -> None:
    async with asking(whoami_app(BearerAuth(verifier))) as client:
        assert (await client.get("/whoami")).text == "nobody"
        token = issuer.token(sub="7", username="ana", scope="read")
        assert (await client.get("/whoami", headers=bearer(token))).text == "ana"
        assert (await client.get("/things", headers=bearer(token))).text == "7"
        assert (await client.get("/things", headers=bearer(issuer.token(roles=["read"])))).status_code == 403
        refused = await client.get("/whoami", headers=bearer("x"))
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


async def test_an_open_page_does_not_mind_a_cookie_that_has_expired(issuer: LocalIssuer, verifier: Verifier) -> None:
    """Otherwise nobody could log in again."""
    async with asking(whoami_app(BearerAuth(verifier, cookie=COOKIE))) as client:
        for token, name in {issuer.token(username="ana"): "ana", issuer.token(exp=1): "nobody", "": "nobody"}.items():
            assert (await client.get("/whoami", headers={"Cookie": f"__Host-token={token}"})).text == name
        assert (await client.get("/whoami", headers=bearer(issuer.token(exp=1)))).status_code == 401


async def test_without_keys_nobody_counts_as_logged_out() -> None:
    with LocalIssuer("ES256") as issuer, Verifier(issuer.url, AUDIENCE) as verifier:
        del issuer.answers[METADATA_PATH]
        async with asking(whoami_app(BearerAuth(verifier, cookie=COOKIE))) as client:
            answer = await client.get("/whoami", headers={"Cookie": f"__Host-token={issuer.token()}"})
    assert answer.status_code == 503


# Flask


def flask_app(auth: idp_verifier.flask.BearerAuth) -> Flask:
    app = Flask(__name__)
    things = Blueprint("things", __name__, url_prefix="/things")

    @things.before_request
    def guard() -> None:
        auth.claims("read")

    @things.get("/mine")
    def mine() -> str:
        return current_claims.sub

    @app.get("/open")
    def unguarded() -> str:
        return current_claims.sub

    app.register_blueprint(things)
    return app


def test_a_whole_blueprint_can_be_guarded(issuer: LocalIssuer, verifier: Verifier) -> None:
    client = flask_app(idp_verifier.flask.BearerAuth(verifier)).test_client()
    assert client.get("/things/mine").status_code == 401
    assert client.get("/things/mine", headers=bearer(issuer.token())).status_code == 403
    assert client.get("/things/mine", headers=bearer(issuer.token(sub="ana", scope="read"))).text == "ana"


def test_the_claims_of_flask_are_there_only_where_a_token_was_asked_for(
    issuer: LocalIssuer, verifier: Verifier
) -> None:
    app = flask_app(idp_verifier.flask.BearerAuth(verifier))
    app.testing = True
    with pytest.raises(RuntimeError, match="@auth"):
        app.test_client().get("/open", headers=bearer(issuer.token()))


def test_flasks_error_handlers_may_change_the_form(verifier: Verifier) -> None:
    app = flask_app(idp_verifier.flask.BearerAuth(verifier))

    @app.errorhandler(HTTPException)
    def problem(error: HTTPException) -> Any:
        answer = error.get_response()
        answer.set_data(json.dumps({"status": error.code, "detail": error.description}))
        return answer

    answer = app.test_client().get("/things/mine")
    assert json.loads(answer.data) == {"status": 401, "detail": "Not authenticated"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"
