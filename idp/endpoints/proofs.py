"""Proofs of possession that come with requests (RFC 9449), at the token endpoint and at our own resources alike.

Every proof must hold a nonce of ours. That costs a client one round trip, with its first request, and no more as long
as it goes on asking; for that a proof cannot be made in advance, and how old it is does not depend on the client's
clock. One nonce is good at both kinds of endpoint, because clients keep one for each origin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from idp.endpoints.envelope import origin_of
from idp.endpoints.fields import field_values
from idp.protocol.audit import AuditEvent
from idp.protocol.dpop import NONCE_LIFETIME, Nonces, is_old
from idp.protocol.errors import InvalidDPoPProofError, UseDPoPNonceError
from idp.protocol.ports import Audit, Clock
from idp.store.used_ids import UsedIds
from idp_verifier import DpopProof, InvalidProof, VerifiedProof, verify_proof

CLOCK_WINDOW = 300.0
"""Seconds by which a client's clock may be wrong. The nonce says how old a proof is, so this can be generous."""


@dataclass(frozen=True, slots=True)
class Possession:
    """What a request has proved: `jkt` names the key, `headers` hand the client its next nonce."""

    jkt: str | None
    headers: Mapping[str, str]


UNPROVED = Possession(None, {})
"""Of a request without a proof."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """Accepts each proof once, whichever instance it comes to."""

    issuer: str
    nonces: Callable[[], Nonces]
    used: UsedIds
    clock: Clock
    audit: Audit

    async def accept(self, request: Request, client_id: str, *, access_token: str | None = None) -> Possession:
        """Uses up the proof of this request, if it has one, of this client; at a resource it must be one for the
        access token.

        Raises InvalidDPoPProofError, UseDPoPNonceError or DatabaseUnavailable.
        """
        given = field_values(request.scope, b"dpop")
        if not given:
            return UNPROVED
        if len(given) > 1:
            raise InvalidDPoPProofError("The request has more than one DPoP header.")
        now = self.clock()
        proof = _verified(DpopProof(request.method, self._uri(request), given[0]), now, access_token)
        good_until = self._demand_nonce(proof, now)
        # Remembered for longer than it could be used: no two clocks agree.
        if not await self.used.use(f"dpop {proof.jkt}", proof.jti, good_until + NONCE_LIFETIME):
            self._record_replay(proof, request, client_id)
            raise InvalidDPoPProofError("The proof was used before; make one for each request.")
        return Possession(proof.jkt, {"DPoP-Nonce": self.nonces().at(now)} if is_old(good_until, now) else {})

    def _uri(self, request: Request) -> str:
        """Whom the request is for, by the settings: Host is whatever a client says (R20)."""
        issuer = urlsplit(self.issuer)
        return f"{issuer.scheme}://{issuer.netloc}{request.scope['raw_path'].decode('latin-1')}"

    def _demand_nonce(self, proof: VerifiedProof, now: float) -> int:
        """Until when the proof's nonce is good. Raises UseDPoPNonceError when it is not."""
        good_until = self.nonces().good_until(proof.nonce) if proof.nonce else None
        if good_until is None or now >= good_until:
            raise UseDPoPNonceError(self.nonces().at(now))
        return good_until

    def _record_replay(self, proof: VerifiedProof, request: Request, client_id: str) -> None:
        origin, detail = origin_of(request.scope), {"jkt": proof.jkt}
        self.audit.record(AuditEvent("dpop.replayed", "refused", origin, client_id, None, client_id, detail))

    def record_unproved(self, request: Request, client_id: str, subject: str | None = None) -> None:
        """For the audit log: somebody has a good token, or the credentials of a client that must prove a key, and not
        the key. They may be stolen."""
        origin = origin_of(request.scope)
        self.audit.record(AuditEvent("dpop.unproved", "refused", origin, client_id, subject, client_id))


def _verified(proof: DpopProof, now: float, access_token: str | None) -> VerifiedProof:
    try:
        return verify_proof(proof, now=now, access_token=access_token, window=CLOCK_WINDOW)
    except InvalidProof as error:
        raise InvalidDPoPProofError(f"The DPoP header is not accepted: {error}.") from None
