"""Where an issuer's keys are: authorization server metadata (RFC 8414), or OpenID Connect Discovery 1.0."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from idp_verifier.encoding import parse_object
from idp_verifier.fetch import Document, Fetcher, FetchError, demand_secure


def find_jwks_uri(issuer: str, fetcher: Fetcher) -> str:
    """The `jwks_uri` of the issuer's metadata. Raises FetchError."""
    return _jwks_uri_of(_metadata(issuer, fetcher), issuer, fetcher)


def metadata_urls(issuer: str) -> Iterator[str]:
    """RFC 8414 §3.1 inserts the well-known part before the issuer's path, OpenID Discovery §4 appends it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    yield urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}"))
    yield urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration"))


def _metadata(issuer: str, fetcher: Fetcher) -> Document:
    oauth, openid = metadata_urls(issuer)
    try:
        return fetcher.get(oauth)
    except FetchError as problem:
        if problem.status is None:  # nobody there: asking again would only take longer
            raise
        return fetcher.get(openid)


def _jwks_uri_of(metadata: Document, issuer: str, fetcher: Fetcher) -> str:
    try:
        members = parse_object(metadata.body)
    except ValueError as problem:
        raise FetchError("the issuer's metadata is not a strict JSON object") from problem
    # RFC 8414 §3.3: identical, or an attacker's document could stand in for the issuer's
    if members.get("issuer") != issuer:
        raise FetchError("the metadata is that of another issuer")
    jwks_uri = members.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise FetchError("the issuer's metadata has no jwks_uri")
    try:
        parts = demand_secure(jwks_uri, allow_http=fetcher.allow_http)
    except ValueError as problem:
        raise FetchError(f"the jwks_uri of the metadata is refused: {problem}") from problem
    if parts.scheme == "http" and issuer.startswith("https:") and not fetcher.allow_http:
        raise FetchError("the jwks_uri of the metadata is less secure than the issuer")
    return jwks_uri
