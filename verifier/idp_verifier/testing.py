"""For the tests of resource services: an issuer on this machine, with real keys, real tokens and real HTTP.

    with LocalIssuer() as issuer:
        verifier = Verifier(issuer.url, "https://api.example.com")
        token = issuer.token(aud="https://api.example.com", scope="read", roles=["admin"])

Its keys are made when it starts and known to nobody else, so nothing that it signs is good elsewhere.
"""

import base64
import json
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from idp_verifier.jwk import PublicKey

JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
STATUS_PATH = "/status-lists/1"


@dataclass(frozen=True)
class Signer:
    """A key pair with its `kid` and `alg`."""

    kid: str
    alg: str
    public_key: PublicKey
    jwk: Mapping[str, str]
    sign_octets: Callable[[bytes], bytes]

    @classmethod
    def generate(cls, alg: str = "RS256", kid: str | None = None) -> Self:
        """`alg` is RS256, PS256, ES256 or EdDSA."""
        public_key, members, sign_octets = _GENERATORS[alg](alg)
        kid = kid or uuid.uuid4().hex
        jwk = {"kid": kid, "alg": alg, "use": "sig", **members}
        return cls(kid, alg, public_key, jwk, sign_octets)

    def sign(self, claims: Mapping[str, Any] | bytes, **header: Any) -> str:
        """A compact JWS, of the type at+jwt unless `header` says otherwise; None there omits a parameter."""
        parameters = {"typ": "at+jwt", "alg": self.alg, "kid": self.kid, **header}
        parameters = {name: value for name, value in parameters.items() if value is not None}
        payload = claims if isinstance(claims, bytes) else _json(claims)
        signing_input = f"{base64url(_json(parameters))}.{base64url(payload)}"
        return f"{signing_input}.{base64url(self.sign_octets(signing_input.encode()))}"


@dataclass
class Answer:
    """What the server of a LocalIssuer says at one path, once it is `ready`."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.ready.set()


class LocalIssuer:
    """An issuer that serves metadata and keys over loopback http while it is entered.

    `answers` maps paths to answers and may be changed at any time; `requests` lists what was asked for: path
    and headers. `clock` returns POSIX seconds.
    """

    def __init__(
        self, alg: str = "RS256", *, signer: Signer | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Signs with `signer`, or with a new key for `alg`."""
        self.signer = signer or Signer.generate(alg)
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._clock = clock
        self._server = self._bound(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.publish(self.signer)
        metadata = {"issuer": self.url, "jwks_uri": self.url + JWKS_PATH}
        self.answers[METADATA_PATH] = Answer(_json(metadata))

    def publish(self, *signers: Signer, max_age: int = 300) -> None:
        """Makes these the keys of the JWK Set."""
        body = _json({"keys": [dict(signer.jwk) for signer in signers]})
        etag = '"' + "-".join(signer.kid for signer in signers) + '"'
        headers = {"Cache-Control": f"public, max-age={max_age}, must-revalidate", "ETag": etag}
        self.answers[JWKS_PATH] = Answer(body, headers=headers)

    def publish_statuses(self, octets: bytes, *, path: str = STATUS_PATH, **claims: Any) -> None:
        """Makes `octets` the Token Status List at `path`: a bit for each token, set if it is revoked.

        The lowest bit of an octet comes first. The list is good for 10 minutes; `claims` replaces and adds.
        """
        members = {**status_list_claims(self.url + path, self._clock(), octets), **claims}
        token = self.signer.sign(members, typ="statuslist+jwt").encode()
        headers = {"Content-Type": "application/statuslist+jwt", "ETag": f'"{sha256(token).hexdigest()}"'}
        self.answers[path] = Answer(token, headers=headers)

    def status_at(self, idx: int, *, path: str = STATUS_PATH) -> dict[str, Any]:
        """The claim `status` of the token whose bit in the list is that at `idx`."""
        return {"status_list": {"uri": self.url + path, "idx": idx}}

    def token(self, **claims: Any) -> str:
        """An access token, good for 15 minutes; `claims` replaces and adds, None omits."""
        members = {**access_token_claims(self.url, self._clock()), **claims}
        return self.signer.sign({name: value for name, value in members.items() if value is not None})

    def respond(self, path: str) -> Answer:
        """What is answered at `path`, when it is ready."""
        answer = self.answers.get(path, Answer(status=404))
        answer.ready.wait()
        return answer

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _bound(self, port: int) -> ThreadingHTTPServer:
        return ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))

    def _start(self) -> None:
        poll = {"poll_interval": 0.01}  # seconds: how long the end of a test waits for the server's end
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def access_token_claims(issuer: str, now: float) -> dict[str, Any]:
    """The claims that RFC 9068 §2.2 requires, with plausible values."""
    return {
        "iss": issuer,
        "sub": "8f14e45f-ceea-467f-ab5c-1b3b2f3e1a11",
        "aud": "https://api.example.com",
        "exp": int(now) + 900,
        "iat": int(now),
        "jti": uuid.uuid4().hex,
        "client_id": "web",
    }


def status_list_claims(uri: str, now: float, octets: bytes) -> dict[str, Any]:
    """The claims of a Status List Token with one bit for each token (draft-ietf-oauth-status-list §5.1)."""
    return {
        "sub": uri,
        "iat": int(now),
        "exp": int(now) + 600,
        "ttl": 100,
        "status_list": {"bits": 1, "lst": base64url(zlib.compress(octets))},
    }


def base64url(octets: bytes) -> str:
    """RFC 7515 §2: without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _handler_of(issuer: LocalIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests.append((self.path, dict(self.headers.items())))
            answer = issuer.respond(self.path)
            unchanged = answer.headers.get("ETag") == self.headers.get("If-None-Match", "")
            body = b"" if unchanged else answer.body
            self.send_response(304 if unchanged else answer.status)
            for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Tests have their own output."""

    return Handler


_KeyPair = tuple[PublicKey, dict[str, str], Callable[[bytes], bytes]]


def _generate_rsa(alg: str) -> _KeyPair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pss = padding.PSS(padding.MGF1(SHA256()), SHA256().digest_size)
    scheme = pss if alg == "PS256" else padding.PKCS1v15()
    numbers = key.public_key().public_numbers()
    members = {"kty": "RSA", "n": base64url(numbers.n.to_bytes(256)), "e": base64url(numbers.e.to_bytes(3))}
    return key.public_key(), members, lambda octets: key.sign(octets, scheme, SHA256())


def _generate_p256(_: str) -> _KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    x, y = (base64url(coordinate.to_bytes(32)) for coordinate in (numbers.x, numbers.y))

    def sign(octets: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return key.public_key(), {"kty": "EC", "crv": "P-256", "x": x, "y": y}, sign


def _generate_ed25519(_: str) -> _KeyPair:
    key = ed25519.Ed25519PrivateKey.generate()
    x = base64url(key.public_key().public_bytes_raw())
    return key.public_key(), {"kty": "OKP", "crv": "Ed25519", "x": x}, key.sign


_GENERATORS: dict[str, Callable[[str], _KeyPair]] = {
    "RS256": _generate_rsa,
    "PS256": _generate_rsa,
    "ES256": _generate_p256,
    "EdDSA": _generate_ed25519,
}
