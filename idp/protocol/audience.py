"""Whom a token is for: resource indicators (RFC 8707) and the `aud` of an access token (RFC 9068 §3)."""

from collections.abc import Sequence

from idp.protocol.client import Client
from idp.protocol.errors import InvalidTargetError
from idp.protocol.redirection import uri_parts


def is_resource_uri(text: str) -> bool:
    """Whether `text` is an absolute URI without a fragment (RFC 8707 §2)."""
    return uri_parts(text) is not None


def granted_audience(resources: Sequence[str], scope: Sequence[str], client: Client, issuer: str) -> tuple[str, ...]:
    """The audiences of a token. The issuer is implicitly one of every client's.

    Raises InvalidTargetError when a `resource` is malformed or not one of the client's audiences.
    """
    if resources:
        return tuple(dict.fromkeys(_checked(resource, client, issuer) for resource in resources))
    if not client.audiences:
        return (issuer,)
    first = client.audiences[0]
    # An OpenID client's token opens our own userinfo endpoint too.
    return (first, issuer) if "openid" in scope and first != issuer else (first,)


def _checked(resource: str, client: Client, issuer: str) -> str:
    if not is_resource_uri(resource):
        raise InvalidTargetError("resource must be an absolute URI without a fragment.")
    if resource != issuer and resource not in client.audiences:
        raise InvalidTargetError("This client may not have tokens for the requested resource.")
    return resource
