"""A client that proves the possession of its key (RFC 9449), for the tests of resource services.

client = fake_issuer.client()
token = fake_issuer.token(cnf=client.cnf, scope="read")
answer = http.get(url, headers=client.headers("GET", url, token))
"""

import time
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from idp_verifier.jwk import thumbprint
from idp_verifier.testing import Signer, base64url


class FakeClient:
    """Has a key of its own, by default for ES256. `clock` returns POSIX seconds.

    `cnf` is the claim that binds a token to the key (§6.1).
    """

    def __init__(self, alg: str = "ES256", *, clock: Callable[[], float] = time.time) -> None:
        self.signer = Signer.generate(alg)
        self.cnf = {"jkt": thumbprint(self.signer.jwk)}
        self._jwk = {name: value for name, value in self.signer.jwk.items() if name not in {"kid", "alg", "use"}}
        self._clock = clock

    def proof(self, method: str, uri: str, token: str | None = None, **claims: Any) -> str:
        """A proof for one request, with `token` or at a token endpoint; `claims` replaces and adds, None omits."""
        members = {"jti": uuid.uuid4().hex, "htm": method, "htu": uri, "iat": int(self._clock())}
        if token is not None:
            members["ath"] = base64url(sha256(token.encode()).digest())
        members |= claims
        members = {name: value for name, value in members.items() if value is not None}
        return self.signer.sign(members, typ="dpop+jwt", kid=None, jwk=self._jwk)

    def headers(self, method: str, uri: str, token: str, **claims: Any) -> dict[str, str]:
        """What goes with one request (§7.1); `claims` are those of the proof."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, uri, token, **claims)}
