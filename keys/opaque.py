"""Opaque tokens that name what they belong to: only we can make one, and nobody can read one.

A token is `id (16 bytes) | random (32) | MAC (16)`, in base64url. The MAC lets us recognise every token that we ever
made for an id without keeping a row for each, and lets nobody who merely knows the id pretend to hold one.
"""

import binascii
import hashlib
import hmac
import secrets
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

SECRET_BYTES = 32
_ID, _RANDOM, _MAC = 16, 32, 16  # bytes
_NONCE_BYTES = 12
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


class OpaqueTokens:
    """Makes and recognises the tokens of one kind. `secret` has 32 bytes; `kind` keeps kinds apart.

    What the MACs of one purpose begin with is hashed once, here: a copy of that costs half of a new HMAC.
    """

    def __init__(self, secret: bytes, kind: str) -> None:
        self.secret = secret
        self._of_tokens = _begun(secret, kind.encode() + b" token\0")
        self._of_successors = _begun(secret, kind.encode() + b" successor\0")

    def new(self, owner: UUID) -> str:
        """A fresh token of this owner, with 256 random bits."""
        body = owner.bytes + secrets.token_bytes(_RANDOM)
        return _encoded(body + self._mac(body))

    def owner(self, token: str) -> UUID | None:
        """Whose token this is; None for whatever we did not make."""
        try:
            raw = binascii.a2b_base64(token.encode("ascii").translate(_FROM_URL) + b"==")
        except (binascii.Error, UnicodeEncodeError):
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        # Only the one spelling that we gave out is that token: another would count as an ancestor, and end the family.
        if _encoded(raw) != token or not hmac.compare_digest(mac, self._mac(body)):
            return None
        return UUID(bytes=body[:_ID])

    def _mac(self, body: bytes) -> bytes:
        return _ended(self._of_tokens, body)[:_MAC]

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
        return _ended(self._of_successors, token.encode())


def _begun(secret: bytes, purpose: bytes) -> HMAC:
    """An HMAC-SHA-256 (RFC 2104) to which its message is still to be added."""
    mac = HMAC(secret, SHA256())
    mac.update(purpose)
    return mac


def _ended(begun: HMAC, message: bytes) -> bytes:
    mac = begun.copy()
    mac.update(message)
    return mac.finalize()


def _encoded(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def digest(token: str) -> bytes:
    """What is stored of a token: it is random, so SHA-256 keeps it."""
    return hashlib.sha256(token.encode()).digest()
