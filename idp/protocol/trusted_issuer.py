"""Whom an outside issuer may speak for: the rules of workload identity (RFC 7523 §2.1, §3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idp.protocol.signed_jwt import SignedJwt


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One rule: tokens of `issuer` that fit stand for the credentials of the client.

    `subject` is their `sub`, or its beginning and a `*`. `claims` are others that must have these very values.
    `audience` is their only one; without it, that is our own issuer. With `single_use`, each token is good once.
    """

    issuer: str
    client_id: str
    subject: str
    claims: Mapping[str, str] = field(default_factory=dict)
    audience: str | None = None
    single_use: bool = False
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None

    def fits(self, jwt: SignedJwt, own_issuer: str) -> bool:
        """Whether the token is one of those that the rule is about. Raises RefusedJwt when that cannot be told."""
        sub = jwt.text("sub")
        prefix = self.subject.removesuffix("*")
        return (
            jwt.text("iss") == self.issuer
            and jwt.audience == (self.audience or own_issuer,)
            and (sub == self.subject or (prefix != self.subject and sub.startswith(prefix)))
            and all(jwt.claims.get(name) == value for name, value in self.claims.items())
        )


def rule_problem(rule: TrustedIssuer, own_issuer: str) -> str | None:
    """Why there cannot be such a rule, None when there can."""
    stem, star, rest = rule.subject.partition("*")
    audience = own_issuer if rule.audience is None else rule.audience
    texts = (rule.issuer, rule.subject, audience, *rule.claims, *rule.claims.values())
    rules = {
        "The issuer is our own: its tokens are not those of somebody else.": rule.issuer != own_issuer,
        "The issuer, the subject, the audience and the claims must be 1 to 300 printable characters each.": (
            all(text.isprintable() and 1 <= len(text.encode()) <= 300 for text in texts)
        ),
        "There may be 8 claims in a rule.": len(rule.claims) <= 8,
        "A subject may have one *, at its end.": not rest,
        "Before the * there must be a separator, : or /: acme* would let in acme-evil too.": (
            not star or not stem or stem.endswith((":", "/"))
        ),
        "A subject of nothing but * lets in everybody whom the issuer knows: bind it to a claim.": (
            rule.subject != "*" or bool(rule.claims)
        ),
    }
    return next((sentence for sentence, kept in rules.items() if not kept), None)
