"""Tokens that nobody issued: with any header and any claims, signed by any key, ours included."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from idp.cli.directories import Directories
from keys.sealing import Sealer
from tests.service import Service


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(members: dict[str, Any]) -> str:
    return b64(json.dumps(members).encode())


def signed(key: rsa.RSAPrivateKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    message = f"{segment(header)}.{segment(claims)}"
    return f"{message}.{b64(key.sign(message.encode(), padding.PKCS1v15(), SHA256()))}"


async def issuers_key_of(service: Service, directory: Directories) -> rsa.RSAPrivateKey:
    """The key that signs, taken from the database with the key-encryption key: for tokens that only we could make."""
    stored = (await directory.store.signing_keys.all())[0]
    assert stored.sealed
    private = Sealer(service.settings.key_encryption_keys).open(stored.kid, stored.sealed)
    key = serialization.load_der_private_key(private, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
