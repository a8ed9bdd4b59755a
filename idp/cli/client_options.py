"""The options that describe a client, for `add` and `update` alike; without the option a member stays as it is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click

from idp.cli.jwks_option import jwks_option
from idp.directory.clients import GRANT_TYPES
from idp.protocol.client import PRIVATE_KEY_JWT, Client
from idp.protocol.client_authentication import METHODS

F = TypeVar("F", bound=Callable[..., Any])

LISTS = {
    "grant": "grant_types",
    "redirect-uri": "redirect_uris",
    "post-logout-redirect-uri": "post_logout_redirect_uris",
    "origin": "origins",
    "scope": "scopes",
    "audience": "audiences",
    "resource-id": "resource_ids",
}
"""The options that may be given several times, and the members of a client that they make."""

_OPTIONS = (
    click.option("--name", metavar="N", help="What people read; the client_id if not given."),
    click.option("--grant", "grant_types", multiple=True, type=click.Choice(GRANT_TYPES), help="A grant it may use."),
    click.option("--redirect-uri", "redirect_uris", multiple=True, metavar="U", help="Where /authorize may send back."),
    click.option(
        "--post-logout-redirect-uri",
        "post_logout_redirect_uris",
        multiple=True,
        metavar="U",
        help="Where /logout may send back.",
    ),
    click.option("--origin", "origins", multiple=True, metavar="O", help="A web origin that may call /token."),
    click.option("--scope", "scopes", multiple=True, metavar="S", help="A scope it may ask for."),
    click.option("--audience", "audiences", multiple=True, metavar="A", help="A resource service, as absolute URI."),
    click.option("--resource-id", "resource_ids", multiple=True, metavar="R", help="A resource service that it is."),
    click.option(
        "--auth-method", "token_endpoint_auth_method", type=click.Choice(METHODS), help="How it proves who it is."
    ),
    click.option("--introspect/--no-introspect", "may_introspect", default=None, help="May it ask /introspect?"),
    jwks_option("Its public keys, as a JWK Set, for private_key_jwt."),
    click.option("--jwks-uri", metavar="U", help="Where its public keys are, instead."),
    click.option("--dpop/--no-dpop", "dpop_bound_access_tokens", default=None, help="Must it prove a key (RFC 9449)?"),
    click.option(
        "--impersonate/--no-impersonate",
        "may_impersonate",
        default=None,
        help="May it exchange tokens for some that do not name it (RFC 8693)?",
    ),
)


def metadata_options(command: F) -> F:
    """Adds them; those that may be given several times say so in one place, the help of the command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def described(client: Client, options: Mapping[str, Any]) -> Client:
    """The client with what the options say; lists keep their order, each value once.

    Keys are in one place: a new place empties the other. Who turns away from keys leaves them behind, as who turns to
    keys does secrets: they may be why.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    leaves_keys = given.get("token_endpoint_auth_method", PRIVATE_KEY_JWT) != PRIVATE_KEY_JWT
    if "jwks" in given or "jwks_uri" in given or leaves_keys:
        client = replace(client, jwks=None, jwks_uri=None)
    values = {
        name: frozenset(value) if name == "grant_types" else tuple(dict.fromkeys(value))
        for name, value in given.items()
        if name in LISTS.values()
    }
    return replace(client, **given | values)


def cleared(client: Client, lists: tuple[str, ...]) -> Client:
    """The client without what these options had put into it."""
    return replace(client, **{LISTS[name]: type(getattr(client, LISTS[name]))() for name in lists})
