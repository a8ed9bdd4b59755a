"""Opaque tokens that name what they belong to: only we can make one, and nobody can read one.

A token is `id (16 bytes) | random (32) | MAC (16)`, in base64url. The MAC lets us recognise every token that we ever
made for an id without keeping a row for each, and lets nobody who merely knows the id pretend to hold one.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES = 32
_ID, _RANDOM, _MAC = 16, 32, 16  # bytes
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class OpaqueTokens:
    """Makes and recognises the tokens of one kind. `secret` has 32 bytes; `kind` keeps kinds apart."""

    secret: bytes = field(repr=False)
    kind: str

    def new(self, owner: UUID) -> str:
        """A fresh token of this owner, with 256 random bits."""
        body = owner.bytes + secrets.token_bytes(_RANDOM)
        return _encoded(body + self._mac(body))

    def owner(self, token: str) -> UUID | None:
        """Whose token this is; None for whatever we did not make."""
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (binascii.Error, UnicodeEncodeError):
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        # Only the one spelling that we gave out is that token: another would count as an ancestor, and end the family.
        if _encoded(raw) != token or not hmac.compare_digest(mac, self._mac(body)):
            return None
        return UUID(bytes=body[:_ID])

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self.secret, self.kind.encode() + b" token\0" + body, "sha256")[:_MAC]

    def seal(self, token: str, successor: str) -> bytes:
        """Seals the successor of a token so that only whoever presents that token lets us open it again.

        The nonce is random, because racing requests seal different successors of one token.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._sealing_key(token)).encrypt(nonce, successor.encode(), None)

    def open(self, token: str, sealed: bytes) -> str | None:
        """The successor that was sealed for this token; None for any other."""
        try:
            opened = AESGCM(self._sealing_key(token)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):  # ValueError: it is too short even for a nonce
            return None
        return opened.decode()

    def _sealing_key(self, token: str) -> bytes:
        return hmac.digest(self.secret, self.kind.encode() + b" successor\0" + token.encode(), "sha256")


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def digest(token: str) -> bytes:
    """What is stored of a token: it is random, so SHA-256 keeps it."""
    return hashlib.sha256(token.encode()).digest()
