"""What every face does with a request, be its framework asynchronous or not."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from idp_verifier.bearer import Bearer, Gateway, Refusal, Request, TokenCookie
from idp_verifier.claims import Claims
from idp_verifier.dpop import DpopProof
from idp_verifier.errors import VerificationError
from idp_verifier.resource import METADATA_HEADERS, ProtectedResource, demand_base
from idp_verifier.verifier import Verifier

CLAIMS = "idp_verifier.claims"
"""The key under which the middlewares leave the Claims, in ASGI's scope and in WSGI's environ."""
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
T = TypeVar("T")


class Guard:
    """Lets in who has a good token for what is asked; the rest hears a Refusal.

    `cookie` names a second place of tokens, beside the Authorization header; `resource` is what challenges
    refer to (RFC 9728 §5.1).

    A DPoP proof is one for a URI (RFC 9449 §4.3). `base_url` is what clients write before the path that a request
    has here: scheme, host, and the prefix that a proxy may cut off. Else it is the origin of `resource`; else the
    Host header is believed, which the sender writes: then a proof for another host can be passed on to this one,
    unless the server answers to its own names only.
    """

    def __init__(
        self,
        gateway: Gateway,
        verifier: Verifier,
        *,
        cookie: TokenCookie | None = None,
        resource: ProtectedResource | None = None,
        base_url: str | None = None,
    ) -> None:
        """Raises ValueError if `base_url` is not https, but for loopback, or has a query."""
        if base_url is not None:
            demand_base(base_url)
        elif resource is not None:
            base_url = resource.origin
        self.bearer = Bearer(gateway, cookie, resource, base_url and base_url.rstrip("/"))
        self._verifier = verifier
        # What a class of somebody's own looks at besides, a pass would not.
        self._passes = verifier.passes() if type(verifier) is Verifier else None
        self._authorization = gateway.authorization

    async def admit(self, request: Request, scopes: Collection[str] = (), role: str | None = None) -> Claims:
        """The claims of a request's token, if it holds all of `scopes` and its user has `role`. Raises Refusal."""
        scopes = tuple(scopes)
        known = self._passed(request, scopes, role)
        if known is not None:
            return known
        token, proof = self.bearer.credentials(request)
        try:
            claims = await self._verifier.verify(token, proof)
        except VerificationError as error:
            raise self.bearer.refusal_of(error, proof) from error
        self.bearer.demand(claims, scopes, role, proof)
        self._remember(request, token, proof)
        return claims

    def admit_sync(self, request: Request, scopes: Collection[str] = (), role: str | None = None) -> Claims:
        """As `admit`, for code without an event loop."""
        scopes = tuple(scopes)
        known = self._passed(request, scopes, role)
        if known is not None:
            return known
        token, proof = self.bearer.credentials(request)
        try:
            claims = self._verifier.verify_sync(token, proof)
        except VerificationError as error:
            raise self.bearer.refusal_of(error, proof) from error
        self.bearer.demand(claims, scopes, role, proof)
        self._remember(request, token, proof)
        return claims

    def admit_at_once(self, request: Request, scopes: Collection[str] = (), role: str | None = None) -> Claims | None:
        """As `admit`, but None if something has to be fetched first: then nothing was decided, so ask `admit`."""
        scopes = tuple(scopes)
        known = self._passed(request, scopes, role)
        if known is not None:
            return known
        token, proof = self.bearer.credentials(request)
        try:
            claims = self._verifier.verify_at_once(token, proof)
        except VerificationError as error:
            raise self.bearer.refusal_of(error, proof) from error
        if claims is None:
            return None
        self.bearer.demand(claims, scopes, role, proof)
        self._remember(request, token, proof)
        return claims

    def _passed(self, request: Request, scopes: Collection[str], role: str | None) -> Claims | None:
        """The claims, if the same request was let in before, and nothing has happened since."""
        return None if self._passes is None else self._passes.claims(self._authorization(request), scopes, role)

    def _remember(self, request: Request, token: str, proof: DpopProof | None) -> None:
        if self._passes is None or proof is not None:
            return
        field = self.bearer.sole_bearer(request, token)
        if field is not None:
            self._passes.add(field, token)


_DOT_SEGMENT = re.compile(r"(?:^|[/\\])\.\.?(?:[/\\]|$)")


@dataclass(frozen=True, slots=True)
class OpenPaths:
    """The paths of an application for which nobody needs a token."""

    exact: frozenset[str]
    beneath: tuple[str, ...]

    @classmethod
    def parse(cls, paths: Iterable[str]) -> "OpenPaths":
        """`/healthz` is one path, `/static/*` everything beneath it. Raises ValueError for `/*` and relative ones."""
        paths = frozenset(paths)
        if "/*" in paths or not all(path.startswith("/") for path in paths):
            raise ValueError("open paths begin with a slash, and cannot be everything")
        return cls(paths, tuple(path.removesuffix("*") for path in paths if path.endswith("/*")))

    def __contains__(self, path: str) -> bool:
        if path in self.exact:
            return True
        # What lies behind may well resolve the dots, and then it is another path that was opened.
        return path.startswith(self.beneath) and not _DOT_SEGMENT.search(path)


Instead = tuple[int, Mapping[str, str], bytes]
"""What is answered in place of the application: status, header, body."""


def refused(refusal: Refusal) -> Instead:
    """How the middlewares answer who is not let in."""
    return refusal.status, _TEXT | refusal.headers, refusal.detail.encode()


class Middleware(Generic[T]):
    """Lets through what has a good token with all of `scopes`, and `role`; and what goes to one of `open_paths`.

    With `resource` it also answers at the path of its metadata (RFC 9728 §3). CORS belongs outside of it: a
    browser asks for permission without a token. `cookie` and `base_url` are those of Guard.
    """

    gateway: ClassVar[Gateway]

    def __init__(
        self,
        app: T,
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
        self._guard = Guard(self.gateway, verifier, cookie=cookie, resource=resource, base_url=base_url)
        self._scopes = tuple(scopes)
        self._role = role
        self._open = OpenPaths.parse(open_paths)
        self._metadata_path = resource and resource.metadata_path
        self._metadata: Instead = 200, METADATA_HEADERS, resource.document() if resource else b""
