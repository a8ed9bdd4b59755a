"""Access tokens at a protected resource (RFC 6750, RFC 9449 §7), without any framework.

Which token of a request counts, which proof came with it, and what is answered to those who are not let in.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from idp_verifier.claims import Claims
from idp_verifier.dpop import DpopProof
from idp_verifier.errors import InvalidProof, ProofRequired, Unavailable, VerificationError
from idp_verifier.fetch import demand_secure
from idp_verifier.jwk import SUPPORTED_ALGORITHMS
from idp_verifier.resource import ProtectedResource

Request = Mapping[str, Any]
"""ASGI's scope or WSGI's environ."""

BEARER, DPOP = "Bearer", "DPoP"
_SCHEMES = frozenset({BEARER.lower(), DPOP.lower()})
_ALGS = " ".join(SUPPORTED_ALGORITHMS)
_RETRY_AFTER = "5"
PCHAR = "/:@!$&'()*+,;=~"
"""What a path holds unescaped, beside letters, digits and `-._` (RFC 3986 §3.3): for gateways that encode one."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1


class Refusal(Exception):  # noqa: N818 - a decision, which a framework's error will carry
    """An answer that is not the resource."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class Target(NamedTuple):
    """What was asked for, as a proof names it (RFC 9449 §4.2): `origin` and `path` make the URI, without a query."""

    method: str
    origin: str
    path: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a request is read: by functions, so that it costs no object of its own.

    `method` is CONNECT for a WebSocket (RFC 8441 §4); `header` gives the values of the fields of one name, which
    is written in lower case; `authorization` is the value of the one Authorization field, as the server has it, or None
    unless there is exactly one; `target` is what the request says of itself, its Host header included.
    """

    method: Callable[[Request], str]
    header: Callable[[Request, str], list[str]]
    authorization: Callable[[Request], str | bytes | None]
    target: Callable[[Request], Target]


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

    `gateway` reads requests; `cookie` is a second way for tokens; challenges name the metadata of `resource` (RFC
    9728 §5.1), and say what it says of DPoP. `base_url` is what clients write before the path of a request: the
    scheme and host of the URI in their proofs, whatever the Host header is behind a proxy.
    """

    gateway: Gateway
    cookie: TokenCookie | None = None
    resource: ProtectedResource | None = None
    base_url: str | None = None

    def credentials(self, request: Request) -> tuple[str, DpopProof | None]:
        """The token of a request, and the proof that goes with the scheme DPoP. Raises Refusal.

        Tokens in the query or in a form (§2.2, §2.3) are not looked for: there they end up in logs and histories.
        """
        scheme, token = self._authorization(request)
        if self.cookie is not None and (in_cookie := self.cookie.tokens(self.gateway, request)):
            if token or len(in_cookie) > 1:  # §2: one method for each request
                raise self._challenged(400, "More than one token", error="invalid_request")
            if not self.cookie.is_from_own_page(self.gateway, request):
                raise Refusal(403, "Cross-site request")
            (token,) = in_cookie
        if not token:  # §3.1: without authentication information there is no error code
            raise self._unauthenticated()
        if scheme == "dpop":
            return token, self._proof(request)
        if self.resource is not None and self.resource.dpop_bound_access_tokens_required:
            # Before the token is looked at: by this scheme none would be accepted.
            problem = "the token must be presented by the scheme DPoP, with a proof"
            raise self._challenged(401, problem, DPOP, error="invalid_token", error_description=problem)
        return token, None

    def sole_bearer(self, request: Request, token: str) -> str | bytes | None:
        """The Authorization field, if it is all that has let in the bearer of `token`.

        It must be written as everybody writes it: otherwise one token would have any number of fields, with more and
        more spaces, to fill a memory with.
        """
        field = self.gateway.authorization(request)
        text = field.decode("latin-1") if isinstance(field, bytes) else field
        return field if self.cookie is None and text == f"{BEARER} {token}" else None

    def is_silent(self, request: Request) -> bool:
        """Whether a request has no Authorization header, be there a cookie or not."""
        return not self.gateway.header(request, "authorization")

    def refusal_of(self, error: VerificationError, proof: DpopProof | None = None) -> Refusal:
        """What is said to the bearer of a token that was not accepted, with its `proof` if there was one."""
        if isinstance(error, Unavailable):  # the token may well be good: a 401 would make clients discard it
            return Refusal(503, "Tokens cannot be verified at the moment", {"Retry-After": _RETRY_AFTER})
        # RFC 9449 §7.2: what is bound to a key is not accepted as a bearer token, and told how it would be.
        scheme = DPOP if isinstance(error, ProofRequired) else _scheme_of(proof)
        code = "invalid_dpop_proof" if isinstance(error, InvalidProof) else "invalid_token"
        return self._challenged(401, str(error), scheme, error=code, error_description=str(error))

    def demand(
        self,
        claims: Claims,
        scopes: Collection[str] = (),
        role: str | None = None,
        proof: DpopProof | None = None,
    ) -> None:
        """Raises Refusal, with status 403, unless the token holds all of `scopes` and its user has `role`."""
        if scopes and not claims.scopes.issuperset(scopes):
            wanted = " ".join(scopes)
            scheme = _scheme_of(proof)
            raise self._challenged(403, f"Scope {wanted} required", scheme, error="insufficient_scope", scope=wanted)
        if role is not None and role not in claims.roles:
            # No scope would help, and RFC 6750 has no other code for it: so no challenge.
            raise Refusal(403, f"{role.capitalize()} access required")

    def _authorization(self, request: Request) -> tuple[str, str]:
        """The scheme, in lower case, and the token (RFC 9110 §11.6.2); both are empty without one by our schemes."""
        values = self.gateway.header(request, "authorization")
        if not values:
            return "", ""
        scheme, _, token = values[0].partition(" ")
        scheme = scheme.lower()
        is_ours = scheme in _SCHEMES
        # A comma is in no token (§2.1), but between two headers that a server or a proxy has made one of.
        if len(values) > 1 or (is_ours and "," in token):
            raise self._challenged(400, "More than one Authorization header", error="invalid_request")
        return (scheme, token.strip(" ")) if is_ours else ("", "")

    def _proof(self, request: Request) -> DpopProof:
        """The one proof of a request (RFC 9449 §4.3), with what it has to be a proof for."""
        proofs = self.gateway.header(request, "dpop")
        if not proofs:
            problem = "the scheme DPoP needs a proof in the header DPoP"
            raise self._challenged(401, problem, DPOP, error="invalid_dpop_proof", error_description=problem)
        if len(proofs) > 1 or "," in proofs[0]:  # no comma is in a JWT either
            raise self._challenged(400, "More than one DPoP header", DPOP, error="invalid_request")
        method, origin, path = self.gateway.target(request)
        return DpopProof(method, (self.base_url or origin) + path, proofs[0])

    def _unauthenticated(self) -> Refusal:
        """Names the ways to authenticate: DPoP where the metadata of the resource does (RFC 9449 §7.2)."""
        resource = self.resource
        challenges = []
        if resource is None or not resource.dpop_bound_access_tokens_required:
            challenges.append(self._challenge(BEARER))
        if resource is not None and (resource.dpop_signing_alg_values_supported or not challenges):
            challenges.append(self._challenge(DPOP))
        return Refusal(401, "Not authenticated", {"WWW-Authenticate": ", ".join(challenges)})

    def _challenged(self, status: int, detail: str, scheme: str = BEARER, **parameters: str) -> Refusal:
        return Refusal(status, detail, {"WWW-Authenticate": self._challenge(scheme, **parameters)})

    def _challenge(self, scheme: str, **parameters: str) -> str:
        if scheme == DPOP:  # RFC 9449 §7.1
            parameters["algs"] = _ALGS
        if self.resource is not None:
            parameters["resource_metadata"] = self.resource.metadata_url
        quoted = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        return f"{scheme} {quoted}".rstrip()


def _scheme_of(proof: DpopProof | None) -> str:
    return BEARER if proof is None else DPOP
