"""Workload identity: the token of an outside issuer stands for the credentials of a client (RFC 7523 §2.1).

A job of a cluster or of a CI system has such a token already, and so needs no secret of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from idp.directory.key_sets import NOT_VERIFIED, KeySets
from idp.protocol.assertion import check_outside_token
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Origin
from idp.protocol.errors import InvalidGrantError
from idp.protocol.ports import Audit, Clock
from idp.protocol.signed_jwt import RefusedJwt, SignedJwt, read_jwt
from idp.protocol.trusted_issuer import TrustedIssuer
from idp.store.trusted_issuers import TrustedIssuers
from idp.store.used_ids import UsedIds


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token whose signature is good and that fits a rule. Its `jti` is to be remembered `until` then."""

    jwt: SignedJwt
    rule: TrustedIssuer
    until: float


@dataclass(frozen=True, slots=True)
class Workloads:
    """Accepts tokens of trusted issuers. `issuer` is our own name, `skew` in seconds."""

    issuer: str
    trusted: TrustedIssuers
    key_sets: KeySets
    used_ids: UsedIds
    clock: Clock
    skew: float
    audit: Audit

    async def client_of(self, assertion: str, named: str | None, origin: Origin) -> str:
        """The client_id that the token stands for; of several, the one that the request named.

        Raises InvalidGrantError; TemporarilyUnavailableError or DatabaseUnavailable when it cannot be told. The
        token may be presented again: it is the grant that accepts it.
        """
        return (await self._verified(assertion, named, origin)).rule.client_id

    async def accept(self, assertion: str, client_id: str, origin: Origin) -> None:
        """Accepts the token for this client, once if its rule says so. Raises as `client_of` does."""
        verified = await self._verified(assertion, client_id, origin, asks=client_id)
        jwt, issuer = verified.jwt, verified.rule.issuer
        with self.audit.room() as record:
            if verified.rule.single_use and not await self._use(jwt, issuer, verified.until):
                used = RefusedJwt("The JWT was used before: each is good once.")
                raise self._refused(used, issuer, origin, client_id)
            detail = {"issuer": issuer, "subject": jwt.text("sub")}
            record(AuditEvent("assertion.accepted", "success", origin, client_id, client_id, client_id, detail))

    async def _use(self, jwt: SignedJwt, issuer: str, until: float) -> bool:
        return await self.used_ids.use(f"issuer {issuer}", jwt.text("jti"), until)

    async def _verified(
        self, assertion: str, named: str | None, origin: Origin, *, asks: str | None = None
    ) -> _Verified:
        """`asks` is the client that is known to ask: one that was only named may be anybody's word."""
        rules: Sequence[TrustedIssuer] = ()
        try:
            jwt = read_jwt(assertion)
            rules = await self._rules_of(jwt)
            return await self._decided(jwt, [rule for rule in rules if rule.fits(jwt, self.issuer)], named)
        except RefusedJwt as refusal:
            issuer = rules[0].issuer if rules else None  # an unknown one may be anything that a stranger sent
            raise self._refused(refusal, issuer, origin, asks) from None

    async def _rules_of(self, jwt: SignedJwt) -> Sequence[TrustedIssuer]:
        """Our own tokens vouch for nobody, whatever the rules say: whoever gets one could make it last for ever."""
        issuer, _, _ = jwt.text("iss"), jwt.text("sub"), jwt.audience  # what is malformed is so for any issuer
        return () if issuer == self.issuer else await self.trusted.rules(issuer)

    async def _decided(self, jwt: SignedJwt, rules: Sequence[TrustedIssuer], named: str | None) -> _Verified:
        rule = next((rule for rule in rules if named in (None, rule.client_id)), None)
        if rule is None:
            raise RefusedJwt(NOT_VERIFIED)  # as for an unknown issuer and a bad signature: strangers learn nothing
        await self.key_sets.verify(jwt, rule.jwks, rule.jwks_uri)
        if named is None and len({rule.client_id for rule in rules}) > 1:
            raise RefusedJwt("The JWT stands for several clients: name one of them by client_id.")
        until = check_outside_token(jwt, single_use=rule.single_use, now=self.clock(), skew=self.skew)
        return _Verified(jwt, rule, until)

    def _refused(self, refusal: RefusedJwt, issuer: str | None, origin: Origin, asks: str | None) -> InvalidGrantError:
        detail = {"reason": str(refusal), **({"issuer": issuer} if issuer else {})}
        self.audit.record(AuditEvent("assertion.refused", "failure", origin, asks, asks, asks, detail))
        return InvalidGrantError(str(refusal))
