"""Fetching the keys of others, from where they say: without reaching, in their stead, into our own network (SSRF).

A URI that somebody registered is not to be trusted with where we connect to. So each name is resolved once, each
address is judged, and the connection is made to a judged address: an answer of the DNS that changes in between
changes nothing. There are no redirects, no proxies, and bounds on size and time (`idp_verifier.fetch`).
"""

import ipaddress
import json
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from idp_verifier.fetch import Document, Fetcher
from keys.jwk import NotAPublicKeyError, public_jwk

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Collection[str]]

TIMEOUT = 3.0
"""Seconds for a whole exchange."""
MAX_OCTETS = 64 * 1024

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_IN_DISGUISE = tuple(map(ipaddress.IPv6Network, ("2001::/32", "2002::/16", "3fff::/20")))
"""Teredo and 6to4 carry an IPv4 address; the last is for documentation, which older Pythons do not know."""
_DEFAULT_ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


class ForbiddenAddress(OSError):  # noqa: N818 - the fetcher reports it as it does any failure to connect
    """A name leads only to addresses that must not be reached."""


def is_public(address: Address) -> bool:
    """Whether the address is on the public internet. An IPv6 address that holds an IPv4 one never is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    return address in _GLOBAL_UNICAST and address.is_global and not any(address in net for net in _IN_DISGUISE)


def resolve(host: str, port: int) -> Collection[str]:
    """The addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class GuardedConnect:
    """Opens connections to public addresses, and to those of the networks `allowed`, alone."""

    allowed: Collection[Network] = ()
    resolve: Resolve = resolve

    def __call__(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connection to the first address that takes one.

        Raises OSError, ForbiddenAddress when no address may be tried; ValueError for what cannot be a name.
        """
        found = map(ipaddress.ip_address, self.resolve(host, port))
        addresses = [address for address in found if self._may_be_reached(address)]
        failure: OSError = ForbiddenAddress("the address is not public, and not in IDP_ALLOW_PRIVATE_JWKS")
        for address in addresses:
            try:
                connection = socket.create_connection((str(address), port), timeout / len(addresses))
            except OSError as error:
                failure = error
            else:
                connection.settimeout(timeout)
                return connection
        raise failure

    def _may_be_reached(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.allowed)


class KeySetFetcher(Fetcher):
    """Fetches JWK Sets, and completes their keys."""

    def get(self, url: str, etag: str | None = None, **wanted: Any) -> Document:
        document = super().get(url, etag, **wanted)
        return replace(document, body=_completed(document.body)) if document.body else document


def key_set_fetcher(networks: Collection[str]) -> KeySetFetcher:
    """The fetcher for an installation in which these private networks may be reached."""
    allowed = [ipaddress.ip_network(network) for network in networks]
    return KeySetFetcher(timeout=TIMEOUT, connect=GuardedConnect(allowed), max_octets=MAX_OCTETS)


def _completed(body: bytes) -> bytes:
    """The set with its keys completed. What is no set is left to whoever reads it as one."""
    try:
        jwks = json.loads(body)["keys"]
        return json.dumps({"keys": [complete(jwk) for jwk in jwks]}).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return body


def complete(jwk: Mapping[str, Any]) -> Mapping[str, Any]:
    """The key with an `alg` and a `kid`, which some issuers leave out.

    One key has one algorithm (RFC 8725 §3.1): without `alg` it is the usual one of its type. Without `kid` it is
    named by its thumbprint (RFC 7638). A key that is none, or of a kind that we do not use, stays as it is.
    """
    if "alg" in jwk and "kid" in jwk:
        return jwk
    named = {"alg": _DEFAULT_ALGORITHMS.get((str(jwk.get("kty")), str(jwk.get("crv", "")))), **jwk}
    try:
        return {**named, "kid": public_jwk(named)["kid"]}
    except NotAPublicKeyError:
        return jwk
