"""Private keys at rest: AES-256-GCM under a key-encryption key that the database never sees.

The kid is the associated data, so that a sealed key cannot be moved to another row; the fingerprint of the sealing
key stands in the row, so that a wrong key is told from a damaged row.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class UnsealError(Exception):
    """A sealed key did not open: the row is damaged, or it was sealed for another kid."""


class UnknownSealingKeyError(UnsealError):
    """A key was sealed under a key-encryption key that is not among ours."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed secret: `sealed_by` is the fingerprint of the key-encryption key, `box` the nonce and ciphertext."""

    sealed_by: str
    box: bytes


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key-encryption key of 32 bytes."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"A key-encryption key has {KEY_BYTES} bytes, not {len(self.secret)}.")

    @property
    def fingerprint(self) -> str:
        """Names the key without telling it: a domain-separated hash of 64 bits."""
        return hashlib.sha256(b"idp key-encryption key fingerprint\0" + self.secret).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals with the first of its keys, opens with any."""

    keys: Sequence[SealingKey]

    def seal(self, kid: str, secret: bytes) -> Sealed:
        """Seals the private half of `kid`."""
        key = self.keys[0]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Sealed(key.fingerprint, nonce + AESGCM(key.secret).encrypt(nonce, secret, kid.encode()))

    def open(self, kid: str, sealed: Sealed) -> bytes:
        """Opens what was sealed for `kid`. Raises UnknownSealingKeyError or UnsealError."""
        for key in self.keys:
            if key.fingerprint == sealed.sealed_by:
                return _open(key, kid, sealed.box)
        raise UnknownSealingKeyError(
            f"The key {kid} is sealed under the unknown key-encryption key {sealed.sealed_by}."
        )


def _open(key: SealingKey, kid: str, box: bytes) -> bytes:
    try:
        return AESGCM(key.secret).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], kid.encode())
    except (InvalidTag, ValueError):
        raise UnsealError(f"The row of the key {kid} is damaged.") from None
