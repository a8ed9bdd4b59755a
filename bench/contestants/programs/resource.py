"""A resource service with one endpoint twice: open to all, and for bearers of a good token."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.contestants import AUDIENCE, SCOPE
from idp_verifier import Verifier
from idp_verifier.starlette import BearerAuth

_auth = BearerAuth(Verifier(os.environ["ISSUER"], AUDIENCE))


async def things(_: Request) -> JSONResponse:
    return JSONResponse({"things": []})


@_auth.requires(SCOPE)
async def protected_things(request: Request) -> JSONResponse:
    return await things(request)


app = Starlette(routes=[Route("/open", things), Route("/protected", protected_things)])
