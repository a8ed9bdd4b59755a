"""`/docs` and `/openapi.json`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from idp.endpoints.answers import json_answer


class DocsEndpoint:
    def __init__(self, document: dict[str, Any], issuer: str) -> None:
        self._document = document
        self._issuer = issuer

    def routes(self) -> list[Route]:
        return [Route("/openapi.json", self.document)]

    async def document(self, _: Request) -> Response:
        return json_answer(self._document)
