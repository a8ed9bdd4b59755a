"""The keys that an instance holds in memory: it signs with one and publishes the others."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keys import jws
from keys.jwk import PublicJwk, load_private
from keys.schedule import PUBLIC_PHASES, Lifetime, Phase
from keys.sealing import Sealed, Sealer, UnknownSealingKeyError, UnsealError
from keys.signer import SignerThread

log = logging.getLogger(__name__)


class NoSigningKeyError(Exception):
    """No key may sign now: the service is not ready."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key as the database keeps it."""

    kid: str
    alg: str
    public_jwk: PublicJwk
    sealed: Sealed
    lifetime: Lifetime


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The public key set (RFC 7517 §5) as it goes over the wire, good until `valid_until`."""

    keys: tuple[PublicJwk, ...]
    body: bytes
    etag: str
    valid_until: float


class Keyring:
    """Picks the signing key by the time, signs with it, and keeps the JWK Set of the moment ready to serve."""

    def __init__(self, sealer: Sealer, thread: SignerThread) -> None:
        self._sealer = sealer
        self._thread = thread
        self._keys: Sequence[StoredKey] = ()
        self._private: dict[str, RSAPrivateKey] = {}
        self._headers: dict[tuple[str, str], bytes] = {}
        self._jwks: JwkSet | None = None

    def replace(self, keys: Iterable[StoredKey], now: float) -> None:
        """Takes the keys that the database holds.

        A row that does not open is reported and skipped, though its public half stays published. Raises
        UnknownSealingKeyError when a key of ours is sealed under a key-encryption key that we were not given.
        """
        keys = tuple(keys)
        if keys == self._keys:
            return
        self._private = dict(self._opened(keys, now))
        self._keys, self._jwks = keys, None

    def _opened(self, keys: Iterable[StoredKey], now: float) -> Iterable[tuple[str, RSAPrivateKey]]:
        for key in keys:
            if key.lifetime.phase(now) not in (Phase.PUBLISHED, Phase.SIGNING):
                continue
            if key.kid in self._private:
                yield key.kid, self._private[key.kid]
                continue
            try:
                yield key.kid, load_private(self._sealer.open(key.kid, key.sealed))
            except UnknownSealingKeyError:
                raise
            except (UnsealError, ValueError) as error:
                log.error("signing key unusable", extra={"kid": key.kid, "reason": str(error)})  # noqa: TRY400

    @property
    def keys(self) -> Sequence[StoredKey]:
        return self._keys

    def signing_key(self, now: float) -> StoredKey:
        """The key that signs at `now`: of several the youngest. Raises NoSigningKeyError."""
        able = [key for key in self._keys if key.lifetime.phase(now) is Phase.SIGNING and key.kid in self._private]
        if not able:
            raise NoSigningKeyError("No signing key is usable now.")
        return max(able, key=lambda key: key.lifetime.sign_from)

    async def sign(self, claims: Mapping[str, object], *, typ: str, now: float) -> str:
        """A compact JWS by the key that signs at `now`. Raises NoSigningKeyError."""
        key = self.signing_key(now)
        private = self._private[key.kid]
        message = jws.signing_input(self._header(key, typ), claims)
        signature = await self._thread.sign(lambda: jws.rs256(private, message))
        return (message + b"." + jws.base64url(signature)).decode()

    def _header(self, key: StoredKey, typ: str) -> bytes:
        header = self._headers.get((key.kid, typ))
        if header is None:
            header = self._headers[key.kid, typ] = jws.header_segment(alg=key.alg, kid=key.kid, typ=typ)
        return header

    def jwks(self, now: float) -> JwkSet:
        """The JWK Set at `now`. Raises NoSigningKeyError rather than serve an empty one."""
        if self._jwks is None or now >= self._jwks.valid_until:
            self._jwks = _jwk_set(self._keys, now)
        return self._jwks


def _jwk_set(keys: Iterable[StoredKey], now: float) -> JwkSet:
    public = [key for key in keys if key.lifetime.phase(now) in PUBLIC_PHASES]
    if not public:
        raise NoSigningKeyError("There is no public key to serve.")
    jwks = tuple(key.public_jwk for key in sorted(public, key=lambda key: key.lifetime.sign_from))
    body = orjson.dumps({"keys": jwks})
    changes = [change for key in public if (change := key.lifetime.next_change(now)) is not None]
    etag = '"' + hashlib.sha256(body).hexdigest()[:32] + '"'
    return JwkSet(jwks, body, etag, min(changes))
