"""A resource service that trusts an issuer by its published keys and shares no secret with it.

Run it with `uvicorn --factory resource_service:create_app`; the README beside it has the commands.
"""

import contextlib
import importlib.resources
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from idp_verifier import Claims, Verifier
from idp_verifier.fastapi import FastAPIAuth


@dataclass(frozen=True)
class Settings:
    """Whom to trust, and by what name this service is called in the `aud` of the tokens that are for it."""

    issuer: str = "http://localhost:8000"
    audience: str = "http://localhost:9000"
    jwks_uri: str | None = None
    """Where the keys are, if this service cannot reach the issuer by the name that everybody else uses."""
    allow_http: bool = False
    """Keys over plain http from another machine: for a network that nobody else can write to."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        return cls(
            environment.get("ISSUER", cls.issuer),
            environment.get("AUDIENCE", cls.audience),
            environment.get("JWKS_URI"),
            environment.get("ALLOW_HTTP") == "true",
        )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service, configured by the environment unless `settings` are given."""
    settings = settings or Settings.from_environment(os.environ)
    verifier = Verifier(settings.issuer, settings.audience, jwks_uri=settings.jwks_uri, allow_http=settings.allow_http)
    auth = FastAPIAuth(verifier, token_url=f"{settings.issuer}/token")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with verifier:
            yield

    app = FastAPI(title="Example resource service", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.get("/users/me")
    async def me(claims: Annotated[Claims, Depends(auth.current_user)]) -> dict[str, Any]:
        """What the token says about its bearer. A client that acts for itself has no username and no roles."""
        return {
            "id": claims.sub,
            "username": claims.username,
            "roles": claims.roles,
            "scopes": sorted(claims.scopes),
        }

    @app.get("/admin/dashboard")
    async def dashboard(claims: Annotated[Claims, Depends(auth.require_role("admin"))]) -> dict[str, str]:
        """For users with the role `admin`."""
        return {"message": f"Welcome, {claims.username}"}

    @app.get("/healthz", include_in_schema=False)
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    serve_swagger_ui(app)
    return app


def serve_swagger_ui(app: FastAPI) -> None:
    """Swagger UI at `/docs` without a CDN: whoever changes a script of that page can take the tokens made there."""
    package = importlib.resources.files("offapi")
    script = package.joinpath("swagger_bundle.js").read_bytes()
    style = package.joinpath("swagger_style.css").read_bytes()

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/swagger-ui.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="data:,",
            init_oauth={"clientId": "swagger"},
        )

    @app.get("/docs/swagger-ui.js", include_in_schema=False)
    async def swagger_script() -> Response:
        return Response(script, media_type="text/javascript")

    @app.get("/docs/swagger-ui.css", include_in_schema=False)
    async def swagger_style() -> Response:
        return Response(style, media_type="text/css")
