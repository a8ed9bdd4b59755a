"""Our own access tokens, read as any resource service would: by `idp_verifier`, over the keys that we hold."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from idp.protocol.ports import Clock
from idp.protocol.tokens import FAMILY_CLAIM
from idp.store.revoked_tokens import RevokedTokens
from idp_verifier import Claims, InvalidClaims, KeySet, verify_token
from keys.keyring import JwkSet, Keyring


@dataclass(slots=True)
class _ParsedKeys:
    """The key set in the form that the verifier wants, parsed once for each JWK Set."""

    source: JwkSet | None = None
    keyset: KeySet | None = None

    def of(self, jwks: JwkSet) -> KeySet:
        if self.keyset is None or self.source is not jwks:
            self.source, self.keyset = jwks, KeySet.parse({"keys": [dict(key) for key in jwks.keys]})
        return self.keyset


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """Verifies access tokens of ours, and knows which of them were revoked."""

    issuer: str
    keyring: Keyring
    clock: Clock
    revoked: RevokedTokens
    _parsed: _ParsedKeys = field(default_factory=_ParsedKeys)

    def claims(self, token: str, audience: str | Collection[str]) -> Claims:
        """The claims of a token for one of these audiences. Raises VerificationError or NoSigningKeyError."""
        now = self.clock()
        keyset = self._parsed.of(self.keyring.jwks(now))
        claims = verify_token(token, keyset, issuer=self.issuer, audience=audience, now=now)
        if "\0" in claims.sub + claims.client_id + claims.jti:  # a predecessor's: PostgreSQL cannot be asked for it
            raise InvalidClaims("a name in the token contains a NUL character")
        return claims

    async def is_revoked(self, claims: Claims) -> bool:
        """Whether the token, or the family that it goes with, has ended. Raises DatabaseUnavailable.

        A family with a name that is none of ours, as a predecessor's token may have it, is not known to be good.
        """
        family_id = self.family_id(claims)
        if claims.get(FAMILY_CLAIM) is not None and family_id is None:
            return True
        return not await self.revoked.is_good(claims.jti, family_id)

    def family_id(self, claims: Claims) -> UUID | None:
        """The family of refresh tokens that the token goes with, if it goes with one."""
        return _uuid(claims.get(FAMILY_CLAIM))

    def user_id(self, claims: Claims) -> UUID | None:
        """Whose token it is; None for a client's own. No client_id looks like the UUID of a person (R21)."""
        return None if claims.sub == claims.client_id else _uuid(claims.sub)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


class _Anybody(Collection[str]):
    """Every audience there is: for endpoints that are asked about tokens of others."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


ANY_AUDIENCE = _Anybody()
