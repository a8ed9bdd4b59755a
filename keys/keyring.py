"""The keys that an instance holds in memory: it signs with one and publishes the others."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Protocol

import orjson

from keys import jws
from keys.algorithms import ALGORITHMS, Sign
from keys.jwk import PublicJwk, load_signer
from keys.schedule import PRIVATE_PHASES, PUBLIC_PHASES, Phase, ScheduledKey
from keys.sealing import Sealed, Sealer, UnknownSealingKeyError, UnsealError

log = logging.getLogger(__name__)


class NoSigningKeyError(Exception):
    """No key may sign now: the service is not ready. The message says why."""


class Thread(Protocol):
    """Where signatures that take long are made."""

    async def sign(self, work: Callable[[], bytes]) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey(ScheduledKey):
    """A signing key as the database keeps it. Without `sealed` it only verifies."""

    public_jwk: PublicJwk
    sealed: Sealed | None


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The public key set (RFC 7517 §5) as it goes over the wire, good until `valid_until`."""

    keys: tuple[PublicJwk, ...]
    body: bytes
    etag: str
    valid_until: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What keeps an instance honest, in seconds: see `Keyring.sign` and `Keyring.max_age`.

    `shared_cache` is what a cache in between may add to `max_age`.
    """

    skew: float
    offline: float
    publish_ahead: float
    max_age: float
    shared_cache: float


@dataclass(frozen=True, slots=True)
class _Turn:
    """The key whose turn it is to sign, from one instant until another, and what signing with it takes. `headers` are
    encoded JOSE headers by their `typ`."""

    since: float
    until: float
    key: StoredKey
    sign: Sign
    is_quick: bool
    headers: dict[str, bytes] = field(default_factory=dict)

    def header(self, typ: str) -> bytes:
        header = self.headers.get(typ)
        if header is None:
            header = self.headers[typ] = jws.header_segment(alg=self.key.alg, kid=self.key.kid, typ=typ)
        return header


class Keyring:
    """Picks the signing key by the time, signs with it, and keeps the JWK Set of the moment ready to serve.

    Every `now` that it is given comes from the one clock that all instances share. While that clock is in doubt the
    phases are frozen: no key begins or ends to sign, and none leaves the JWK Set.
    """

    def __init__(self, sealer: Sealer, thread: Thread, bounds: Bounds) -> None:
        self._sealer = sealer
        self._thread = thread
        self._bounds = bounds
        self._keys: Sequence[StoredKey] = ()
        self._read_at = -inf
        self._frozen_at: float | None = None
        self._signers: dict[str, Sign] = {}
        self._jwks: JwkSet | None = None
        self._turn: _Turn | None = None  # the one that was found last

    @property
    def keys(self) -> Sequence[StoredKey]:
        return self._keys

    @property
    def frozen_at(self) -> float | None:
        return self._frozen_at

    def replace(self, keys: Iterable[StoredKey], now: float) -> None:
        """Takes the keys that the database held at `now`, and forgets private halves that are past their time.

        A row that does not open is reported and skipped, though its public half stays published. Raises
        UnknownSealingKeyError when a key is sealed under a key-encryption key that we were not given.
        """
        keys = tuple(keys)
        self._signers = dict(self._opened(keys, self._phase_time(now)))
        self._read_at, self._turn = now, None
        if keys != self._keys:
            self._keys, self._jwks = keys, None

    def freeze(self, at: float) -> None:
        """Stops the phases at `at`: the clock is in doubt."""
        self._frozen_at, self._jwks, self._turn = at, None, None

    def thaw(self) -> None:
        """Lets the phases go on."""
        self._frozen_at, self._jwks, self._turn = None, None, None

    def _phase_time(self, now: float) -> float:
        return now if self._frozen_at is None else min(now, self._frozen_at)

    def _opened(self, keys: Iterable[StoredKey], now: float) -> Iterable[tuple[str, Sign]]:
        for key in keys:
            if key.lifetime.phase(now) not in PRIVATE_PHASES:
                continue
            if key.kid in self._signers:  # its row may have lost it to an instance whose clock is ahead
                yield key.kid, self._signers[key.kid]
            elif key.sealed is not None and (sign := self._unsealed(key, key.sealed)) is not None:
                yield key.kid, sign

    def _unsealed(self, key: StoredKey, sealed: Sealed) -> Sign | None:
        try:
            return load_signer(key.alg, self._sealer.open(key.kid, sealed))
        except UnknownSealingKeyError:
            raise
        except (UnsealError, ValueError) as error:
            log.error("signing key unusable", extra={"kid": key.kid, "reason": str(error)})  # noqa: TRY400
            return None

    def unusable(self, now: float) -> Sequence[str]:
        """The kids that should be able to sign and cannot, because their rows are damaged."""
        at = self._phase_time(now)
        return [k.kid for k in self._keys if k.lifetime.phase(at) in PRIVATE_PHASES and k.kid not in self._signers]

    def signing_key(self, now: float) -> StoredKey:
        """The key that signs at `now`. Raises NoSigningKeyError."""
        return self._turn_at(now).key

    def _turn_at(self, now: float) -> _Turn:
        turn = self._turn
        if turn is None or not turn.since <= now < turn.until:
            turn = self._turn = self._found_turn(now)
        return turn

    def _found_turn(self, now: float) -> _Turn:
        if now - self._read_at > self._bounds.offline:
            raise NoSigningKeyError(f"The key table was not read for {now - self._read_at:.0f} s.")
        at = self._phase_time(now)
        for key in self._keys:
            if key.lifetime.phase(at) is Phase.SIGNING and (sign := self._signers.get(key.kid)) is not None:
                ends = key.lifetime.sign_until if at == now else inf  # else the phases are frozen
                until = min(ends, self._read_at + self._bounds.offline)
                return _Turn(now, until, key, sign, ALGORITHMS[key.alg].quick)
        raise NoSigningKeyError("No key signs now.")

    async def sign(self, claims: Mapping[str, object], *, typ: str, now: float) -> tuple[str, str]:
        """A compact JWS by the key that signs at `now`, and the kid of that key. Raises NoSigningKeyError.

        A token must end before its key stops verifying, clock skew included. Since `now` and `exp` are of one
        reading of the clock, a process that is paused between that reading and the signature does no harm.
        """
        turn = self._turn_at(now)
        exp = claims["exp"]
        if not isinstance(exp, int) or exp + self._bounds.skew > turn.key.lifetime.verify_until:
            raise NoSigningKeyError("The token would outlive its key.")
        message = jws.signing_input(turn.header(typ), claims)
        sign = turn.sign
        signature = sign(message) if turn.is_quick else await self._thread.sign(partial(sign, message))
        return (message + b"." + jws.base64url(signature)).decode(), turn.key.kid

    def jwks(self, now: float) -> JwkSet:
        """The JWK Set at `now`. Raises NoSigningKeyError rather than give one that is empty or lacks keys that sign.

        No key leaves it for having passed its time until the key table was read after that time: the key may have
        been given more of it.
        """
        if now >= self._complete_until:
            raise NoSigningKeyError(f"The key table was not read for {now - self._read_at:.0f} s: others may sign now.")
        at = self._phase_time(self._read_at)
        if self._jwks is None or at >= self._jwks.valid_until:
            self._jwks = _jwk_set(self._keys, at)
        return self._jwks

    def max_age(self, now: float) -> int:
        """Seconds for which a verifier may keep the JWK Set.

        It is the same for everybody, so that caches do not end together, except for an instance that has lost the
        database: what it serves must have left every cache while it still is complete.
        """
        return max(0, int(min(self._bounds.max_age, self._complete_until - now)))

    @property
    def _complete_until(self) -> float:
        """Until when the JWK Set has every key that signs, as far as verifiers can tell, whose clocks and caches lag:
        a key that was made after we last read the table signs no earlier than `publish_ahead` after that."""
        bounds = self._bounds
        return self._read_at + bounds.publish_ahead - bounds.skew - bounds.shared_cache


def _jwk_set(keys: Iterable[StoredKey], now: float) -> JwkSet:
    public = [key for key in keys if key.lifetime.phase(now) in PUBLIC_PHASES]
    if not public:
        raise NoSigningKeyError("There is no public key to serve.")
    jwks = tuple(key.public_jwk for key in sorted(public, key=lambda key: key.lifetime.sign_from))
    body = orjson.dumps({"keys": jwks})
    changes = [change for key in public if (change := key.lifetime.next_change(now)) is not None]
    etag = '"' + hashlib.sha256(body).hexdigest()[:32] + '"'
    return JwkSet(jwks, body, etag, min(changes))
