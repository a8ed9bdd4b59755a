"""Bearer tokens in front of any WSGI application.

    app = BearerMiddleware(app, verifier, scopes=["read"], open_paths=["/healthz", "/static/*"])

The application finds the Claims in `environ["idp_verifier.claims"]`.
"""

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from idp_verifier.bearer import PCHAR, Gateway, Refusal, Request, Target
from idp_verifier.guard import CLAIMS, Instead, Middleware, refused


def _method(environ: Request) -> str:
    return environ["REQUEST_METHOD"]  # type: ignore[no-any-return]


def _header(environ: Request, name: str) -> list[str]:
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))  # of each name one value (PEP 3333)
    return [] if value is None else [value]


def _authorization(environ: Request) -> str | None:
    return environ.get("HTTP_AUTHORIZATION")  # several are joined with commas, which are in no token


def _target(environ: Request) -> Target:
    # The path comes decoded, as Latin-1 (PEP 3333), and is encoded as nearly everybody does it. A proof for a path
    # with an escaped slash, say, is refused: whether a "/" was one cannot be known here.
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    origin = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    return Target(_method(environ), origin, quote(path, safe=PCHAR, encoding="latin-1"))


WSGI = Gateway(_method, _header, _authorization, _target)


class BearerMiddleware(Middleware[WSGIApplication]):
    """Lets through what has a good token; see Middleware for what it can be told."""

    gateway = WSGI

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        instead = self._instead(environ)
        if instead is None:
            return self._app(environ, start_response)
        status, headers, body = instead
        fields = {"Content-Length": str(len(body)), **headers}
        start_response(f"{status} {HTTPStatus(status).phrase}", list(fields.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]  # RFC 9110 §9.3.2; not every server sees to it

    def _instead(self, environ: WSGIEnvironment) -> Instead | None:
        """What is answered in place of the application: status, header, body."""
        path, prefix = environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", "")
        if prefix + path == self._metadata_path and _method(environ) in {"GET", "HEAD"}:
            return self._metadata
        if path in self._open:
            return None
        try:
            environ[CLAIMS] = self._guard.admit_sync(environ, self._scopes, self._role)
        except Refusal as refusal:
            return refused(refusal)
        return None
