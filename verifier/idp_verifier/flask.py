"""Access tokens in Flask.

    auth = BearerAuth(verifier)

    @app.get("/things")
    @auth.requires("read")
    def things() -> str:
        return current_claims.sub

`auth.claims("read")` does the same inside a view, or in a `before_request` for a whole blueprint.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from idp_verifier.bearer import Refusal, TokenCookie
from idp_verifier.claims import Claims
from idp_verifier.guard import Guard
from idp_verifier.resource import METADATA_HEADERS, ProtectedResource
from idp_verifier.verifier import Verifier
from idp_verifier.wsgi import WSGI

P = ParamSpec("P")
R = TypeVar("R")


class Refused(HTTPException):
    """A Refusal, for Flask's error handlers."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.code = refusal.status
        self._headers = list(refusal.headers.items())

    def get_headers(self, *arguments: Any, **named: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*arguments, **named), *self._headers]


class BearerAuth:
    """Asks for an access token, in the Authorization header unless `cookie` names another place too.

    `resource` is what challenges refer to (RFC 9728 §5.1); `base_url` is what clients write before the paths, see
    Guard.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        cookie: TokenCookie | None = None,
        resource: ProtectedResource | None = None,
        base_url: str | None = None,
    ) -> None:
        self._guard = Guard(WSGI, verifier, cookie=cookie, resource=resource, base_url=base_url)

    def claims(self, *scopes: str, role: str | None = None) -> Claims:
        """The claims of the request's token, if it holds all of `scopes` and its user has `role`.

        From then on they are in `current_claims`. Raises Refused: 401 without a good token, 403 if it does not
        suffice, 503 without keys.
        """
        try:
            claims = self._guard.admit_sync(request.environ, scopes, role)
        except Refusal as refusal:
            raise Refused(refusal) from None
        g.idp_verifier_claims = claims
        return claims

    def requires(self, *scopes: str, role: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorates a view, below its route. It then finds the claims in `current_claims`."""

        def decorate(view: Callable[P, R]) -> Callable[P, R]:
            @wraps(view)
            def guarded(*arguments: P.args, **named: P.kwargs) -> R:
                self.claims(*scopes, role=role)
                return current_app.ensure_sync(view)(*arguments, **named)  # type: ignore[no-any-return]

            return guarded

        return decorate


def add_metadata(app: Flask | Blueprint, resource: ProtectedResource) -> None:
    """Makes `app` answer at the path of the resource's metadata (RFC 9728 §3)."""
    document = resource.document()

    def oauth_protected_resource() -> Response:
        return Response(document, headers=METADATA_HEADERS)

    app.add_url_rule(resource.metadata_path, view_func=oauth_protected_resource)


def _current() -> Claims:
    claims: Claims | None = g.get("idp_verifier_claims")
    if claims is None:
        raise RuntimeError("no token has been asked for: the view needs @auth.requires()")
    return claims


current_claims: Claims = LocalProxy(_current)  # type: ignore[assignment]
"""The Claims of the request at hand."""
