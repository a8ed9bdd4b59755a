"""RFC 6750 for a protected resource, without any framework: who is let in, and what the others hear."""

from collections.abc import Collection, Mapping, Sequence

from idp_verifier.claims import Claims
from idp_verifier.errors import Unavailable, VerificationError

_RETRY_AFTER = "5"


class Refusal(Exception):  # noqa: N818 - a decision, which a framework's error will carry
    """An answer that is not the resource."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def bearer_token(authorization: Sequence[str]) -> str:
    """The token in the values of the Authorization headers (RFC 6750 §2.1). Raises Refusal.

    Tokens in the query or in a form (§2.2, §2.3) are not looked for: there they end up in logs and histories.
    """
    if len(authorization) > 1:
        raise Refusal(400, "More than one Authorization header", _challenge(error="invalid_request"))
    scheme, _, token = (authorization[0] if authorization else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        # §3.1: without authentication information there is no error code
        raise Refusal(401, "Not authenticated", _challenge())
    return token.strip(" ")


def refusal_of(error: VerificationError) -> Refusal:
    """What is said to the bearer of a token that was not accepted."""
    if isinstance(error, Unavailable):  # the token may well be good: a 401 would make clients discard it
        return Refusal(503, "Tokens cannot be verified at the moment", {"Retry-After": _RETRY_AFTER})
    return Refusal(401, str(error), _challenge(error="invalid_token", error_description=str(error)))


def demand(claims: Claims, scopes: Collection[str] = (), role: str | None = None) -> None:
    """Raises Refusal, with status 403, unless the token holds all of `scopes` and its user has `role`."""
    if not claims.scopes.issuperset(scopes):
        wanted = " ".join(scopes)
        raise Refusal(403, f"Scope {wanted} required", _challenge(error="insufficient_scope", scope=wanted))
    if role is not None and role not in claims.roles:
        # No scope would help, and RFC 6750 has no other code for it: so no challenge.
        raise Refusal(403, f"{role.capitalize()} access required")


def _challenge(**parameters: str) -> dict[str, str]:
    quoted = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
    return {"WWW-Authenticate": f"Bearer {quoted}".rstrip()}
