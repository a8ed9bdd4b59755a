"""Bearer tokens in front of any WSGI application.

    app = BearerMiddleware(app, verifier, scopes=["read"], open_paths=["/healthz", "/static/*"])

The application finds the Claims in `environ["idp_verifier.claims"]`.
"""

from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from idp_verifier.bearer import PCHAR, Gateway, Refusal, Request, Target, TokenCookie
from idp_verifier.guard import CLAIMS, TEXT, Guard, OpenPaths
from idp_verifier.resource import METADATA_HEADERS, ProtectedResource
from idp_verifier.verifier import Verifier


def _method(environ: Request) -> str:
    return environ["REQUEST_METHOD"]  # type: ignore[no-any-return]


def _header(environ: Request, name: str) -> list[str]:
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))  # of each name one value (PEP 3333)
    return [] if value is None else [value]


def _target(environ: Request) -> Target:
    # The path comes decoded, as Latin-1 (PEP 3333), and is encoded as nearly everybody does it. A proof for a path
    # with an escaped slash, say, is refused: whether a "/" was one cannot be known here.
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    origin = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    return Target(_method(environ), origin, quote(path, safe=PCHAR, encoding="latin-1"))


WSGI = Gateway(_method, _header, _target)


class BearerMiddleware:
    """Lets through what has a good token with all of `scopes`, and `role`; and what goes to one of `open_paths`.

    With `resource` it also answers at the path of its metadata (RFC 9728 §3). CORS belongs outside of it: a
    browser asks for permission without a token. `cookie` and `base_url` are those of Guard.
    """

    def __init__(
        self,
        app: WSGIApplication,
        verifier: Verifier,
        *,
        scopes: Collection[str] = (),
        role: str | None = None,
        open_paths: Iterable[str] = (),
        cookie: TokenCookie | None = None,
        resource: ProtectedResource | None = None,
        base_url: str | None = None,
    ) -> None:
        self._app = app
        self._guard = Guard(WSGI, verifier, cookie=cookie, resource=resource, base_url=base_url)
        self._scopes = tuple(scopes)
        self._role = role
        self._open = OpenPaths.parse(open_paths)
        self._metadata_path = resource and resource.metadata_path
        self._metadata = resource.document() if resource else b""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        instead = self._instead(environ)
        if instead is None:
            return self._app(environ, start_response)
        status, headers, body = instead
        fields = {"Content-Length": str(len(body)), **headers}
        start_response(f"{status} {HTTPStatus(status).phrase}", list(fields.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]  # RFC 9110 §9.3.2; not every server sees to it

    def _instead(self, environ: WSGIEnvironment) -> tuple[int, Mapping[str, str], bytes] | None:
        """What is answered in place of the application: status, header, body."""
        path, prefix = environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", "")
        if prefix + path == self._metadata_path and _method(environ) in {"GET", "HEAD"}:
            return 200, METADATA_HEADERS, self._metadata
        if path in self._open:
            return None
        try:
            environ[CLAIMS] = self._guard.admit_sync(environ, self._scopes, self._role)
        except Refusal as refusal:
            return refusal.status, TEXT | refusal.headers, refusal.detail.encode()
        return None
