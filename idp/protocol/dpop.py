"""Nonces for proofs of possession (RFC 9449 §8, §9): they tell when a proof was made. Pure."""

import base64
import hmac
from dataclasses import dataclass, field

NONCE_LIFETIME = 300
"""Seconds for which a nonce is good, and so every proof that holds it."""
_RENEWAL = 120
"""Seconds after which a client is handed a fresh one: long before the end, so that none who is busy is ever refused."""
_TIME, _MAC = 8, 16  # bytes


@dataclass(frozen=True, slots=True)
class Nonces:
    """Makes and recognises nonces. `secret` is the same for all instances, so each knows what another gave out.

    A nonce is `time (8 bytes, POSIX seconds) | MAC (16)`, in base64url. Nothing is stored, and nobody can know one
    before its time: a proof that holds one was made after it.
    """

    secret: bytes = field(repr=False)

    def at(self, now: float) -> str:
        """The nonce of this second."""
        time = int(now).to_bytes(_TIME)
        return base64.urlsafe_b64encode(time + self._mac(time)).decode()

    def good_until(self, nonce: str) -> int | None:
        """The instant at which it ends; None for whatever we did not make."""
        try:
            raw = base64.b64decode(nonce, b"-_", validate=True)
        except ValueError:  # not base64url (binascii.Error is one), or not even ASCII
            return None
        time, mac = raw[:_TIME], raw[_TIME:]
        return int.from_bytes(time) + NONCE_LIFETIME if hmac.compare_digest(mac, self._mac(time)) else None

    def _mac(self, time: bytes) -> bytes:
        return hmac.digest(self.secret, b"dpop nonce\0" + time, "sha256")[:_MAC]


def is_old(good_until: float, now: float) -> bool:
    """Whether a client should be handed the next nonce, though its own is good still."""
    return now >= good_until - NONCE_LIFETIME + _RENEWAL
