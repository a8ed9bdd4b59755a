"""RFC 6750 for a protected resource, without any framework: which token counts, and what is answered without one."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from idp_verifier.claims import Claims
from idp_verifier.errors import Unavailable, VerificationError
from idp_verifier.fetch import demand_secure

Request = Mapping[str, Any]
"""ASGI's scope or WSGI's environ."""

_RETRY_AFTER = "5"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


class Refusal(Exception):  # noqa: N818 - a decision, which a framework's error will carry
    """An answer that is not the resource."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a request is read: by two functions, so that it costs no object of its own.

    `method` is CONNECT for a WebSocket (RFC 8441 §4); `header` gives the values of the fields of one name, which
    is written in lower case.
    """

    method: Callable[[Request], str]
    header: Callable[[Request, str], list[str]]


@dataclass(frozen=True, slots=True)
class TokenCookie:
    """An HttpOnly cookie with an access token, for browsers, which send it along whoever makes them.

    So each request must show that it comes from pages of `origin`, which is where this service is seen by
    browsers: `https://app.example.com`. It is not read off the request, where anybody could write it.
    """

    name: str
    origin: str

    def __post_init__(self) -> None:
        """Raises ValueError for what is no origin, and for a cookie that a neighbouring site could set."""
        parts = demand_secure(self.origin, allow_http=False)
        if self.origin != f"{parts.scheme}://{parts.netloc}".lower():
            raise ValueError(f"{self.origin!r} is not an origin, such as https://app.example.com")
        if parts.scheme == "https" and not self.name.startswith("__Host-"):
            raise ValueError(f"the cookie must be called __Host-{self.name}: any subdomain may set another one")

    def tokens(self, gateway: Gateway, request: Request) -> list[str]:
        """The values that a request has for it; honest browsers send one (RFC 6265 §4.2)."""
        fields = gateway.header(request, "cookie")
        pairs = (pair.strip().partition("=") for field in fields for pair in field.split(";"))
        return [value for name, _, value in pairs if name == self.name]

    def is_from_own_page(self, gateway: Gateway, request: Request) -> bool:
        """Whether a request was made by a page of the origin, or at least can do no harm.

        What changes something needs proof, and two witnesses: Sec-Fetch-Site, which no page can set, and
        Origin, which by itself proves nothing (`null`, other ports, names that were bound anew). Reading is
        what SameSite and the same-origin policy protect, also in browsers that say neither.
        """
        site, origin = gateway.header(request, "sec-fetch-site"), gateway.header(request, "origin")
        if site == ["same-origin"] and origin == [self.origin]:
            return True
        if gateway.method(request) not in _SAFE_METHODS or origin not in ([], [self.origin]):
            return False
        return site in ([], ["same-origin"], ["none"]) or _is_followed_link(gateway, request)


def _is_followed_link(gateway: Gateway, request: Request) -> bool:
    """A page shown in a tab of its own: not in a frame, nor as the image or script of somebody else's."""
    mode, destination = gateway.header(request, "sec-fetch-mode"), gateway.header(request, "sec-fetch-dest")
    return mode == ["navigate"] and destination == ["document"]


@dataclass(frozen=True, slots=True)
class Bearer:
    """How tokens come to a protected resource, and what those hear who are not let in.

    `gateway` reads requests; `cookie` is a second way for tokens; `metadata_url` is what challenges name (RFC 9728
    §5.1).
    """

    gateway: Gateway
    cookie: TokenCookie | None = None
    metadata_url: str | None = None

    def token(self, request: Request) -> str:
        """The token of a request. Raises Refusal.

        Tokens in the query or in a form (§2.2, §2.3) are not looked for: there they end up in logs and histories.
        """
        scheme, credentials = self._authorization(request)
        token = credentials if scheme == "bearer" else ""
        if self.cookie is not None and (in_cookie := self.cookie.tokens(self.gateway, request)):
            if token or len(in_cookie) > 1:  # §2: one method for each request
                raise self._challenged(400, "More than one token", error="invalid_request")
            if not self.cookie.is_from_own_page(self.gateway, request):
                raise Refusal(403, "Cross-site request")
            (token,) = in_cookie
        if not token:  # §3.1: without authentication information there is no error code
            raise self._challenged(401, "Not authenticated")
        return token

    def is_silent(self, request: Request) -> bool:
        """Whether a request has no Authorization header, be there a cookie or not."""
        return not self.gateway.header(request, "authorization")

    def refusal_of(self, error: VerificationError) -> Refusal:
        """What is said to the bearer of a token that was not accepted."""
        if isinstance(error, Unavailable):  # the token may well be good: a 401 would make clients discard it
            return Refusal(503, "Tokens cannot be verified at the moment", {"Retry-After": _RETRY_AFTER})
        return self._challenged(401, str(error), error="invalid_token", error_description=str(error))

    def demand(self, claims: Claims, scopes: Collection[str] = (), role: str | None = None) -> None:
        """Raises Refusal, with status 403, unless the token holds all of `scopes` and its user has `role`."""
        if scopes and not claims.scopes.issuperset(scopes):
            wanted = " ".join(scopes)
            raise self._challenged(403, f"Scope {wanted} required", error="insufficient_scope", scope=wanted)
        if role is not None and role not in claims.roles:
            # No scope would help, and RFC 6750 has no other code for it: so no challenge.
            raise Refusal(403, f"{role.capitalize()} access required")

    def _authorization(self, request: Request) -> tuple[str, str]:
        """The scheme, in lower case, and the credentials (RFC 9110 §11.6.2): the one place that tells schemes apart."""
        values = self.gateway.header(request, "authorization")
        scheme, _, credentials = (values[0] if values else "").partition(" ")
        scheme = scheme.lower()
        # A comma is in no token (§2.1), but between two headers that a server or a proxy has made one of.
        if len(values) > 1 or (scheme == "bearer" and "," in credentials):
            raise self._challenged(400, "More than one Authorization header", error="invalid_request")
        return scheme, credentials.strip(" ")

    def _challenged(self, status: int, detail: str, **parameters: str) -> Refusal:
        if self.metadata_url is not None:
            parameters["resource_metadata"] = self.metadata_url
        quoted = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        return Refusal(status, detail, {"WWW-Authenticate": f"Bearer {quoted}".rstrip()})
