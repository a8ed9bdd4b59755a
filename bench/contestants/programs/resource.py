"""A resource service with an endpoint that is open to all or, where there is an ISSUER, for bearers of a good token."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.contestants import AUDIENCE, SCOPE
from idp_verifier import Verifier
from idp_verifier.starlette import BearerAuth, Endpoint


async def things(_: Request) -> Response:
    return JSONResponse({"things": []})


def _protected_by(issuer: str) -> Endpoint:
    return BearerAuth(Verifier(issuer, AUDIENCE)).requires(SCOPE)(things)


_issuer = os.environ["ISSUER"]
app = Starlette(routes=[Route("/things", _protected_by(_issuer) if _issuer else things), Route("/ready", things)])
