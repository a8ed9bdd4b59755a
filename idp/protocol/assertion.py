"""Assertions: JWTs that prove a client (RFC 7523 §2.2), or stand for it as a grant (§2.1).

With the update of RFC 7523 (draft-ietf-oauth-rfc7523bis), by which the audience is the issuer and nothing else: a
server that names another one's endpoint as its own could otherwise use there what clients send to it.
"""

from collections.abc import Collection

from idp.protocol.signed_jwt import RefusedJwt, SignedJwt

CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

LONGEST_CLIENT_ASSERTION = 3600
"""Seconds. A minute would do, but Authlib's clients make theirs for an hour; each is good once all the same."""
LONGEST_OUTSIDE_TOKEN = 86_400
"""Seconds. Kubernetes renews a token when it is a day old at the latest; one of a CI job lives for minutes."""
_MARGIN = 60
"""Seconds: ids are forgotten by the database's clock, of which ours may be a little behind."""

_CLIENT_ASSERTION_TYPES = frozenset({"client-authentication+jwt", "jwt", ""})
_OUTSIDE_TOKEN_TYPES = frozenset({"authorization-grant+jwt", "jwt", "jose", ""})


def check_client_assertion(jwt: SignedJwt, client_id: str, issuer: str, *, now: float, skew: float) -> float:
    """Decides on a client's assertion whose signature is good; gives the instant until which to remember its `jti`.

    Instants are POSIX seconds; `skew`, in seconds, is how far the client's clock may be off. Raises RefusedJwt.
    """
    _check_type(jwt, _CLIENT_ASSERTION_TYPES)
    if not jwt.text("iss") == jwt.text("sub") == client_id:
        raise RefusedJwt("The iss and the sub of the assertion must both be the client_id.")
    if jwt.audience != (issuer,):
        raise RefusedJwt("The aud of the assertion must be the issuer identifier of this server alone.")
    jwt.text("jti")
    return _expiry(jwt, LONGEST_CLIENT_ASSERTION, now, skew)


def check_outside_token(jwt: SignedJwt, *, single_use: bool, now: float, skew: float) -> float:
    """Likewise, for the token of an outside issuer that a rule has matched already."""
    _check_type(jwt, _OUTSIDE_TOKEN_TYPES)
    if single_use:
        jwt.text("jti")
    return _expiry(jwt, LONGEST_OUTSIDE_TOKEN, now, skew)


def _check_type(jwt: SignedJwt, types: Collection[str]) -> None:
    """Explicit typing (RFC 8725 §3.11): no access token, proof or id token of another kind passes for one of these."""
    if jwt.typ not in types:
        raise RefusedJwt("The typ of the JWT is that of another kind of token.")


def _expiry(jwt: SignedJwt, longest: float, now: float, skew: float) -> float:
    expires, issued = jwt.instant("exp"), jwt.instant("iat")
    if expires is None:
        raise RefusedJwt("The exp of the JWT is missing.")
    if expires <= now - skew:
        raise RefusedJwt("The JWT has expired.")
    if max(issued or 0, jwt.instant("nbf") or 0) > now + skew:
        raise RefusedJwt("The JWT is not valid yet: its iat or nbf is in the future.")
    if expires - (now + skew if issued is None else issued) > longest:
        raise RefusedJwt(f"The exp of the JWT is too far ahead: it may live for at most {longest} seconds.")
    return expires + skew + _MARGIN
