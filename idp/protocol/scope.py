"""Scope (RFC 6749 §3.3): what a token lets its bearer ask for."""

import re

from idp.protocol.client import ADMIN_SCOPE, Client
from idp.protocol.errors import InvalidScopeError

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def is_scope_token(text: str) -> bool:
    """Whether `text` is one scope-token: printable ASCII without space, quote and backslash."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def granted_scope(requested: str | None, client: Client) -> tuple[str, ...]:
    """The scope to grant, each value once: all that the client is registered for when nothing was asked.

    Raises InvalidScopeError when a value is malformed or not registered for this client: a narrower token than
    was asked for would only fail later, and farther from its cause.
    """
    if requested is None:
        return tuple(scope for scope in client.scopes if scope != ADMIN_SCOPE)
    wanted = tuple(dict.fromkeys(requested.split(" ")))
    if all([scope in client.scopes for scope in wanted]):  # noqa: C419 - faster, and there are few
        return wanted
    if not all(map(is_scope_token, wanted)):
        raise InvalidScopeError("scope is a list of values separated by single spaces.")
    # Which one is not repeated: it may be a secret in the wrong field.
    raise InvalidScopeError("A scope that was asked for is not registered for this client.")
