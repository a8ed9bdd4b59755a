"""A client that holds a key and proves it, as RFC 9449 says."""

import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from idp_verifier.jwk import thumbprint
from idp_verifier.testing import Signer
from tests.builders import ConfidentialClient

TOKEN = "/token"


def new_key(alg: str = "ES256") -> Signer:
    return Signer.generate(alg)


def public_jwk(signer: Signer) -> dict[str, str]:
    return {name: value for name, value in signer.jwk.items() if name not in {"kid", "alg", "use"}}


def hash_of(access_token: str) -> str:
    """The `ath` of a proof for this token (§4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Prover:
    """A key, and the nonce that the server handed out last. `issuer` is what the server calls itself."""

    http: httpx.AsyncClient
    issuer: str
    signer: Signer = field(default_factory=new_key)
    nonce: str | None = None

    @property
    def jkt(self) -> str:
        return thumbprint(self.signer.jwk)

    def proof(
        self, path: str = TOKEN, method: str = "POST", *, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A proof for such a request, but for these deviations; `...` omits a claim."""
        due = {"jti": uuid4().hex, "htm": method, "htu": self.issuer + path, "iat": int(time.time())}
        due |= {"nonce": self.nonce or ...} | claims
        parameters = {"typ": "dpop+jwt", "kid": None, "jwk": public_jwk(self.signer)} | (header or {})
        return self.signer.sign({name: value for name, value in due.items() if value is not ...}, **parameters)

    async def send(
        self, path: str = TOKEN, method: str = "POST", *, access_token: str | None = None, **request: Any
    ) -> httpx.Response:
        """A request with a good proof, made once more when the server wants another nonce in it (§8, §9)."""
        answer = await self._send(path, method, access_token, request)
        return await self._send(path, method, access_token, request) if wants_nonce(answer) else answer

    async def _send(self, path: str, method: str, access_token: str | None, request: dict[str, Any]) -> httpx.Response:
        presented = {"Authorization": f"DPoP {access_token}"} if access_token else {}
        ath = hash_of(access_token) if access_token else ...
        headers = {"DPoP": self.proof(path.partition("?")[0], method, ath=ath), **presented}
        answer = await self.http.request(method, path, **{"headers": headers} | request)
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer

    async def token(self, client: ConfidentialClient, **form: str) -> str:
        """A token of the client's own that is bound to the key, unless `form` says otherwise."""
        answer = await self.send(data={"grant_type": "client_credentials"} | form, auth=client.auth)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "DPoP"
        return str(answer.json()["access_token"])


def wants_nonce(answer: httpx.Response) -> bool:
    if answer.status_code == 400:
        return bool(answer.json()["error"] == "use_dpop_nonce")
    return answer.status_code == 401 and 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]
