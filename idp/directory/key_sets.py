"""The public keys of clients and of outside issuers: given as a set, or found where a URI leads."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature

from idp.clock import Ticker
from idp.directory.remote_keys import MAX_OCTETS, complete
from idp.protocol.errors import TemporarilyUnavailableError
from idp.protocol.redirection import uri_parts
from idp.protocol.signed_jwt import RefusedJwt, SignedJwt
from idp_verifier import KeySet, VerificationKey
from idp_verifier.errors import InvalidKeySet, KeysUnavailable
from idp_verifier.fetch import Fetcher, demand_secure
from idp_verifier.source import KeySource
from keys.jwk import NotAPublicKeyError, public_jwk

Jwks = Mapping[str, Any]

MAX_KEYS = 20
MAX_STALE = 3600.0
"""Seconds for which the last good keys are used while new ones cannot be fetched."""
BOUND = 1_000
"""The most URIs whose keys are kept. Only what was registered is ever fetched, so nobody else can push them out."""
NOT_VERIFIED = "The signature of the JWT cannot be verified."
"""Whatever the reason: a stranger learns neither who is known nor which key was tried."""


class KeySets:
    """Finds keys, and keeps those that were fetched. `ticker` never steps."""

    def __init__(self, fetcher: Fetcher, ticker: Ticker) -> None:
        self._fetcher = fetcher
        self._ticker = ticker
        self._sources: OrderedDict[str, KeySource] = OrderedDict()

    async def verify(self, jwt: SignedJwt, jwks: Jwks | None, jwks_uri: str | None) -> None:
        """Verifies the signature by one of these keys. Raises RefusedJwt, or TemporarilyUnavailableError when keys
        cannot be fetched."""
        try:
            keys = KeySet.parse(_completed(jwks)) if jwks is not None else await self._fetched(jwks_uri, jwt)
        except InvalidKeySet:
            raise RefusedJwt(NOT_VERIFIED) from None
        except KeysUnavailable:
            raise TemporarilyUnavailableError("The keys for this JWT cannot be fetched.", retry_after=5) from None
        key = _named(jwt, keys)
        if key is None or key.alg != jwt.header.get("alg"):
            raise RefusedJwt(NOT_VERIFIED)
        try:
            key.check(jwt.signature, jwt.signing_input)
        except (InvalidSignature, ValueError):
            raise RefusedJwt(NOT_VERIFIED) from None

    async def _fetched(self, uri: str | None, jwt: SignedJwt) -> KeySet:
        """The keys at `uri`, fetched anew when none has the name that the JWT gives. Raises KeysUnavailable."""
        if uri is None:
            return KeySet(())
        source = self._source(uri)
        keys = source.current()
        if isinstance(keys, Future):
            await self._settle(keys)
            keys = source.settled()
        if _named(jwt, keys) is None and (fetch := source.search()):
            await self._settle(fetch)
            keys = source.settled()
        return keys

    async def _settle(self, fetch: "Future[None]") -> None:
        # asyncio.wait, because it neither raises at the end of its time nor cancels what others wait for too
        await asyncio.wait([asyncio.wrap_future(fetch)], timeout=self._fetcher.timeout)

    def _source(self, uri: str) -> KeySource:
        source = self._sources.get(uri)
        if source is None:
            source = KeySource(uri, self._fetcher, jwks_uri=uri, clock=self._ticker, max_stale=MAX_STALE)
            self._sources[uri] = source
        self._sources.move_to_end(uri)
        if len(self._sources) > BOUND:
            self._sources.popitem(last=False)[1].close()
        return source


def _named(jwt: SignedJwt, keys: KeySet) -> VerificationKey | None:
    """The key of the `kid`, which is a name and nothing else (J5). A set of one key needs no name."""
    kid = jwt.header.get("kid")
    if kid is None and len(keys) == 1:
        return next(iter(keys.values()))
    return keys.get(kid) if isinstance(kid, str) else None


def _is_storable(jwks: Jwks) -> bool:
    """Whether PostgreSQL can hold it: without NUL, and without halves of surrogate pairs."""
    try:
        text = orjson.dumps(jwks)
    except TypeError:
        return False
    return len(text) <= MAX_OCTETS and b"\\u0000" not in text


def _completed(jwks: Jwks) -> Jwks:
    return {"keys": [complete(jwk) for jwk in jwks["keys"]]}


def keys_problem(jwks: Jwks | None, jwks_uri: str | None) -> str | None:
    """Why these cannot be registered as somebody's public keys, None when they can; repeats nothing of them."""
    if jwks is not None and jwks_uri is not None:
        return "Give either a JWK Set or the URI of one, not both."
    if jwks_uri is not None:
        return _uri_problem(jwks_uri)
    return _jwks_problem(jwks) if jwks is not None else None


def _uri_problem(uri: str) -> str | None:
    """https, or http on this machine: who can alter keys on their way chooses them."""
    sentence = "The jwks_uri must be an https URL of at most 2000 characters, without user and fragment."
    try:
        demand_secure(uri, allow_http=False)
    except ValueError:
        return sentence
    return None if uri_parts(uri) and len(uri) <= 2_000 else sentence


def _jwks_problem(jwks: Jwks) -> str | None:
    keys = jwks.get("keys")
    if not _is_storable(jwks):
        return "The JWK Set is larger than 64 KiB, or holds what is no text."
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS or not all(isinstance(key, dict) for key in keys):
        return f"A JWK Set is an object with 1 to {MAX_KEYS} public keys in the array `keys` (RFC 7517 §5)."
    try:
        for key in keys:
            public_jwk(complete(key))
        usable = KeySet.parse(_completed(jwks))
    except NotAPublicKeyError as error:
        return f"A key of the JWK Set cannot be used. {error}"
    except InvalidKeySet as error:
        return f"The JWK Set cannot be used: {error}."
    return None if len(usable) == len(keys) else "Every key of the JWK Set must be one that signs (RFC 7517 §4.2)."
