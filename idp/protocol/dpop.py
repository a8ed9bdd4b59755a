"""Nonces for proofs of possession (RFC 9449 §8, §9): they tell when a proof was made. Pure."""

import base64
import binascii
import hmac
from dataclasses import dataclass, field

NONCE_LIFETIME = 300
"""Seconds for which a nonce is good, and so every proof that holds it."""
NONCE_RENEWAL = 120
"""Seconds after which a client is handed a fresh one: well before the end, so that no busy client is ever refused."""
_TIME, _MAC = 8, 16  # bytes


@dataclass(frozen=True, slots=True)
class Nonces:
    """Makes and recognises nonces (§8). `secret` is the same for all instances, so one knows what another gave out.

    A nonce is `time (8 bytes, POSIX seconds) | MAC (16)`, in base64url. It tells when its proof was made whatever the
    client's clock says, and nobody can know one before its time. Nothing is stored.
    """

    secret: bytes = field(repr=False)

    def at(self, now: float) -> str:
        """The nonce of this second."""
        body = int(now).to_bytes(_TIME)
        return base64.urlsafe_b64encode(body + self._mac(body)).decode()

    def made_at(self, nonce: str) -> int | None:
        """When this nonce was made; None for whatever we did not make."""
        try:
            raw = base64.b64decode(nonce, b"-_", validate=True)
        except (binascii.Error, ValueError):  # ValueError: it is not ASCII
            return None
        body, mac = raw[:_TIME], raw[_TIME:]
        return int.from_bytes(body) if hmac.compare_digest(mac, self._mac(body)) else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self.secret, b"dpop nonce\0" + body, "sha256")[:_MAC]
