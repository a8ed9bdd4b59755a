"""Access tokens in Starlette.

    auth = BearerAuth(verifier)

    @auth.requires("read")
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(request.state.claims.sub)

`AuthenticationMiddleware(app, backend=auth, on_error=auth.on_error)` works too, and fills `request.user` and
`request.auth`, for the `requires` of Starlette itself.
"""

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from idp_verifier.asgi import ASGI
from idp_verifier.bearer import Refusal, TokenCookie
from idp_verifier.claims import Claims
from idp_verifier.guard import Guard
from idp_verifier.resource import METADATA_HEADERS, ProtectedResource
from idp_verifier.verifier import Verifier

Endpoint = Callable[[Request], Awaitable[Response]]


class BearerUser(BaseUser):
    """`request.user`: whom the token is about."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.claims.username or self.claims.sub

    @property
    def identity(self) -> str:
        return self.claims.sub


class BearerAuth(AuthenticationBackend):
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
        self._guard = Guard(ASGI, verifier, cookie=cookie, resource=resource, base_url=base_url)

    async def claims(self, connection: HTTPConnection, *scopes: str, role: str | None = None) -> Claims:
        """The claims of the request's token, if it holds all of `scopes` and its user has `role`.

        Raises HTTPException: 401 without a good token, 403 if it does not suffice, 503 without keys.
        """
        try:
            return await self._guard.admit(connection.scope, scopes, role)
        except Refusal as refusal:
            raise _exception(refusal) from None

    def requires(self, *scopes: str, role: str | None = None) -> Callable[[Endpoint], Endpoint]:
        """Decorates an endpoint, which then finds the claims in `request.state.claims`."""

        def decorate(endpoint: Endpoint) -> Endpoint:
            @wraps(endpoint)
            async def guarded(request: Request) -> Response:
                try:
                    claims = self._guard.admit_at_once(request.scope, scopes, role)
                except Refusal as refusal:
                    raise _exception(refusal) from None
                if claims is None:
                    claims = await self.claims(request, *scopes, role=role)
                request.scope.setdefault("state", {})["claims"] = claims  # `request.state` would cost twice as much
                return await endpoint(request)

            return guarded

        return decorate

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """For AuthenticationMiddleware: None without a token, so that public pages stay public."""
        try:
            claims = await self._guard.admit(conn.scope)
        except Refusal as refusal:
            # A cookie comes unasked: an old one must not close the page to log in.
            if refusal.status != 503 and self._guard.bearer.is_silent(conn.scope):
                return None
            raise AuthenticationError(refusal) from None
        # The token's own words and nothing else: a mark of ours, "authenticated" say, could also be a scope.
        return AuthCredentials(sorted(claims.scopes)), BearerUser(claims)

    @staticmethod
    def on_error(_: HTTPConnection, error: AuthenticationError) -> Response:
        """For AuthenticationMiddleware, which by default would answer 400 without a challenge."""
        refusal = error.args[0]
        assert isinstance(refusal, Refusal)
        return PlainTextResponse(refusal.detail, refusal.status, refusal.headers)


def _exception(refusal: Refusal) -> HTTPException:
    return HTTPException(refusal.status, refusal.detail, refusal.headers)


def metadata_route(resource: ProtectedResource) -> Route:
    """A route to the metadata of the resource (RFC 9728 §3)."""
    document = resource.document()

    async def oauth_protected_resource(_: Request) -> Response:
        return Response(document, headers=METADATA_HEADERS)

    return Route(resource.metadata_path, oauth_protected_resource)
