"""A bare ASGI application that signs inline: no framework, no database, no audit, no metrics, no throttling."""

import base64
import hmac
import json
import secrets
import time
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.types import Receive, Scope, Send

from bench.contestants import AUDIENCE, CLIENT

_KEY = generate_private_key(public_exponent=65537, key_size=2048)
_PADDING, _HASH = PKCS1v15(), SHA256()
_CREDENTIALS = b"Basic " + base64.b64encode(":".join(CLIENT).encode())


def _encode(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


_HEADER = _encode(json.dumps({"typ": "at+jwt", "alg": "RS256", "kid": "inline"}).encode())


def _token(scope: str) -> bytes:
    now = int(time.time())
    claims = {
        "iss": "http://localhost",
        "sub": CLIENT[0],
        "client_id": CLIENT[0],
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 900,
        "jti": secrets.token_urlsafe(16),
        "scope": scope,
    }
    signing_input = _HEADER + b"." + _encode(json.dumps(claims).encode())
    return signing_input + b"." + _encode(_KEY.sign(signing_input, _PADDING, _HASH))


def _issue(headers: dict[bytes, bytes], body: bytes) -> tuple[int, bytes]:
    if not hmac.compare_digest(headers.get(b"authorization", b""), _CREDENTIALS):
        return 401, b'{"error":"invalid_client"}'
    form = dict(parse_qsl(body.decode()))
    if form.get("grant_type") != "client_credentials":
        return 400, b'{"error":"unsupported_grant_type"}'
    token = _token(form.get("scope", "")).decode()
    return 200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 900}).encode()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /token`, and an empty answer to all else."""
    if scope["type"] != "http":
        return
    status, body = 200, b"{}"
    if scope["path"] == "/token":
        message = await receive()  # a form of this size comes in one piece
        status, body = _issue(dict(scope["headers"]), message["body"])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
