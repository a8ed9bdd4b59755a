"""Saying which outside issuers are trusted, and for which clients they may speak."""

from collections.abc import Sequence
from dataclasses import dataclass

from idp.directory.clients import NoSuchClient
from idp.directory.key_sets import keys_problem
from idp.protocol.assertion import JWT_BEARER
from idp.protocol.audit import Actor, AuditEvent
from idp.protocol.trusted_issuer import TrustedIssuer, rule_problem
from idp.store import Aggregates, Store


class InvalidRule(ValueError):  # noqa: N818 - an answer rather than an error
    """There cannot be such a rule; the sentence says why."""


class NoSuchRule(Exception):  # noqa: N818 - likewise
    """There is no rule that this names."""


@dataclass(frozen=True, slots=True)
class IssuerDirectory:
    """The trusted outside issuers. `issuer` is our own name."""

    store: Store
    issuer: str

    async def add(self, rule: TrustedIssuer, by: Actor) -> None:
        """Adds a rule. Raises InvalidRule, NoSuchClient or RuleExists."""
        problem = rule_problem(rule, self.issuer) or keys_problem(rule.jwks, rule.jwks_uri)
        if problem is None and rule.jwks is None and rule.jwks_uri is None:
            problem = "The issuer's public keys are needed: a JWK Set, or the URI of one."
        if problem:
            raise InvalidRule(problem)

        async def insert(store: Aggregates) -> None:
            client = await store.clients.find(rule.client_id)
            if client is None:
                raise NoSuchClient(
                    f"There is no client {rule.client_id}. `idp clients add {rule.client_id} --public --grant "
                    f"{JWT_BEARER}` makes one that has no other credentials."
                )
            if JWT_BEARER not in client.grant_types:
                raise InvalidRule(f"The client {rule.client_id} is not registered for the grant {JWT_BEARER}.")
            await store.trusted_issuers.add(rule)
            await store.audit.add(_event("issuer.trusted", rule, by))

        await self.store.transact(insert)

    async def remove(self, issuer: str, client_id: str | None, subject: str | None, by: Actor) -> int:
        """Removes the rules of an issuer, or those that name this client and subject; how many. Raises NoSuchRule."""

        async def delete(store: Aggregates) -> Sequence[TrustedIssuer]:
            removed = await store.trusted_issuers.remove(issuer, client_id, subject)
            if not removed:
                raise NoSuchRule("There is no such rule. `idp issuers list` shows those there are.")
            await store.audit.add(*(_event("issuer.removed", rule, by) for rule in removed))
            return removed

        return len(await self.store.transact(delete))


def _event(event: str, rule: TrustedIssuer, by: Actor) -> AuditEvent:
    detail = {"issuer": rule.issuer, "subject": rule.subject}
    return AuditEvent(event, "success", by.origin, by.id, rule.client_id, rule.client_id, detail)
