"""`/openapi.json`, and `/docs`: Swagger UI over it. All that the page loads comes from here."""

import hashlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from idp.endpoints.docs.assets import Asset, assets
from idp.endpoints.jwks import is_current

MAX_AGE = 300
"""Seconds for which the document may be kept."""

# Swagger UI draws its icons from data: URLs. It needs no inline script, no inline style and no eval.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"


class DocsEndpoint:
    """Serves the document and the page, made once."""

    def __init__(self, document: Mapping[str, Any], issuer: str) -> None:
        self._document = orjson.dumps(document)
        self._etag = f'"{hashlib.sha256(self._document).hexdigest()[:32]}"'
        loaded = assets()
        self._assets = {asset.name: asset for asset in loaded.values()}
        self._page = _page(issuer, loaded)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/openapi.json", self.document),
            Route("/docs", self.page),
            Route("/docs/{asset}", self.asset),
        ]

    async def document(self, request: Request) -> Response:
        headers = {"Cache-Control": f"public, max-age={MAX_AGE}", "ETag": self._etag}
        if is_current(request.headers.get("if-none-match"), self._etag):
            return Response(status_code=304, headers=headers)
        return Response(self._document, headers=headers, media_type="application/json")

    async def page(self, _: Request) -> Response:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
        return Response(self._page, headers=headers, media_type="text/html")

    async def asset(self, request: Request) -> Response:
        """A file of the page. Its name changes with its content, so it can be kept for ever."""
        asset = self._assets.get(request.path_params["asset"])
        if asset is None:
            raise HTTPException(404)
        headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(asset.body, headers=headers, media_type=asset.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(await asset.compressed(), headers=headers, media_type=asset.media_type)


def _page(issuer: str, loaded: Mapping[str, Asset]) -> str:
    template = Template(Path(__file__).with_name("docs.html").read_text())
    names = {placeholder: asset.name for placeholder, asset in loaded.items()}
    return template.substitute(names, issuer=escape(issuer), base=escape(f"{urlsplit(issuer).path}/docs"))
