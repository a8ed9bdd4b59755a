"""Outside issuers, and which of our clients their tokens stand for."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from idp.protocol.trusted_issuer import TrustedIssuer
from idp.store.database import Executor, Row

_COLUMNS = "issuer, client_id, subject, claims, audience, single_use, jwks, jwks_uri"


class RuleExists(Exception):  # noqa: N818 - an answer rather than an error
    """There is a rule for this issuer, client, subject and these claims already."""


class TrustedIssuers:
    """The table `trusted_issuers`, a row for each rule."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def rules(self, issuer: str) -> Sequence[TrustedIssuer]:
        """The rules for one issuer, the stricter ones first."""
        rows = await self._executor.fetch_all(
            f"""select {_COLUMNS} from trusted_issuers where issuer = $1
                order by single_use desc, client_id, subject, claims""",
            issuer,
        )
        return [_rule(row) for row in rows]

    async def all(self) -> Sequence[TrustedIssuer]:
        rows = await self._executor.fetch_all(
            f"select {_COLUMNS} from trusted_issuers order by issuer, client_id, subject, claims"
        )
        return [_rule(row) for row in rows]

    async def add(self, rule: TrustedIssuer) -> None:
        """Stores a rule. Raises RuleExists."""
        try:
            await self._executor.execute(
                f"insert into trusted_issuers ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8)",
                rule.issuer,
                rule.client_id,
                rule.subject,
                orjson.dumps(rule.claims, option=orjson.OPT_SORT_KEYS).decode(),
                rule.audience,
                rule.single_use,
                orjson.dumps(rule.jwks).decode() if rule.jwks else None,
                rule.jwks_uri,
            )
        except asyncpg.UniqueViolationError:
            raise RuleExists("There is a rule for this issuer, client and subject already; remove it first.") from None

    async def remove(self, issuer: str, client_id: str | None, subject: str | None) -> Sequence[TrustedIssuer]:
        """Removes the rules of an issuer, or those of them that name this client and this subject; gives them."""
        rows = await self._executor.fetch_all(
            f"""delete from trusted_issuers
                where issuer = $1 and ($2::text is null or client_id = $2) and ($3::text is null or subject = $3)
                returning {_COLUMNS}""",
            issuer,
            client_id,
            subject,
        )
        return [_rule(row) for row in rows]


def _rule(row: Row) -> TrustedIssuer:
    values: dict[str, Any] = dict(row)
    values["claims"] = orjson.loads(values["claims"])
    values["jwks"] = orjson.loads(values["jwks"]) if values["jwks"] else None
    return TrustedIssuer(**values)
