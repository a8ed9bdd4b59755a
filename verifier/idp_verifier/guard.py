"""What every face does with a request, be its framework asynchronous or not."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from idp_verifier.bearer import Bearer, Gateway, Request, TokenCookie
from idp_verifier.claims import Claims
from idp_verifier.errors import VerificationError
from idp_verifier.resource import ProtectedResource
from idp_verifier.verifier import Verifier

CLAIMS = "idp_verifier.claims"
"""The key under which the middlewares leave the Claims, in ASGI's scope and in WSGI's environ."""
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
"""The form in which the middlewares answer who is not let in."""


class Guard:
    """Lets in who has a good token for what is asked; the rest hears a Refusal.

    `cookie` names a second place of tokens, beside the Authorization header; `resource` is what challenges
    refer to (RFC 9728 §5.1).
    """

    def __init__(
        self,
        gateway: Gateway,
        verifier: Verifier,
        *,
        cookie: TokenCookie | None = None,
        resource: ProtectedResource | None = None,
    ) -> None:
        self.bearer = Bearer(gateway, cookie, resource.metadata_url if resource else None)
        self._verifier = verifier

    async def admit(self, request: Request, scopes: Collection[str] = (), role: str | None = None) -> Claims:
        """The claims of a request's token, if it holds all of `scopes` and its user has `role`. Raises Refusal."""
        token = self.bearer.token(request)
        try:
            claims = await self._verifier.verify(token)
        except VerificationError as error:
            raise self.bearer.refusal_of(error) from error
        self.bearer.demand(claims, scopes, role)
        return claims

    def admit_sync(self, request: Request, scopes: Collection[str] = (), role: str | None = None) -> Claims:
        """As `admit`, for code without an event loop."""
        token = self.bearer.token(request)
        try:
            claims = self._verifier.verify_sync(token)
        except VerificationError as error:
            raise self.bearer.refusal_of(error) from error
        self.bearer.demand(claims, scopes, role)
        return claims


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
