"""Families of refresh tokens: beginning one, presenting a token of one, ending them."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from idp.protocol.audit import AuditEvent, Outcome
from idp.protocol.authorization import Authentication, Authorization, Origin, TokenRequest
from idp.protocol.errors import InvalidGrantError, InvalidScopeError, InvalidTargetError, OAuth2Error
from idp.protocol.ports import Clock
from idp.protocol.refresh import Family, Presentation, RefreshPolicy, narrowed, presentation
from idp.store import Aggregates, Store
from idp.store.refresh_families import FamilyOfUser
from keys.opaque import OpaqueTokens, digest

_NOT_GOOD = "The refresh token is invalid, expired, revoked or another client's."


@dataclass(frozen=True, slots=True)
class Families:
    """What grants and endpoints do with families."""

    store: Store
    tokens: Callable[[], OpaqueTokens]
    policy: RefreshPolicy
    clock: Clock

    async def begin(self, authorization: Authorization) -> Authorization:
        """The same with the first token of a new family. Raises InvalidGrantError when the person was disabled, or
        changed the password, since they logged in a moment ago."""
        authentication = authorization.authentication
        assert authentication is not None, "only a person's authorization is refreshed"
        family_id = uuid4()
        token = self.tokens().new(family_id)
        now = self.clock()
        family = Family(
            id=family_id,
            client_id=authorization.client.client_id,
            user_id=authentication.user.id,
            scope=authorization.scope,
            audience=authorization.audience,
            auth_time=authentication.time,
            amr=authentication.methods,
            current_digest=digest(token),
            previous_digest=None,
            rotated_at=None,
            sealed_successor=None,
            idle_until=now + self.policy.idle_ttl,
            expires_at=now + self.policy.ttl,
        )
        if not await self.store.refresh_families.add(family, authentication.user.credentials_epoch):
            raise InvalidGrantError("The login is not good any more.")
        return replace(authorization, family_id=family_id, refresh_token=token)

    async def present(self, request: TokenRequest, token: str) -> Authorization | OAuth2Error:
        """What the client may have for this token: the way without contention is one statement."""
        family_id = self.tokens().owner(token)
        if family_id is None:
            return InvalidGrantError(_NOT_GOOD)
        successor = self.tokens().new(family_id)
        sealed = self.tokens().seal(token, successor) if self.policy.retry_window else None
        scope = request.scope.split(" ") if request.scope else None
        swapped = await self.store.refresh_families.swap(
            family_id,
            request.client.client_id,
            digest(token),
            digest(successor),
            sealed,
            self.policy.idle_ttl,
            scope,
            list(request.resources) or None,
        )
        if swapped:
            return self._authorization(request, swapped, successor)
        return await self._contended(request, family_id, token)

    async def _contended(self, request: TokenRequest, family_id: UUID, token: str) -> Authorization | OAuth2Error:
        """Something stood against the swap. What it was is decided on the locked row, and made durable."""

        async def work(store: Aggregates) -> Authorization | OAuth2Error:
            found = await store.refresh_families.locked(family_id)
            if found is None:
                return InvalidGrantError(_NOT_GOOD)
            now = await store.now()
            client_id = request.client.client_id
            meaning = presentation(found.family, digest(token), client_id, now, self.policy.retry_window)
            if meaning is Presentation.REPLAYED:
                await store.refresh_families.revoke(family_id)
                await store.audit.add(_event(request, found, "refresh.replayed", "failure"))
                return InvalidGrantError(_NOT_GOOD)
            if meaning is Presentation.REFUSED or not found.user.is_active:
                return InvalidGrantError(_NOT_GOOD)
            if meaning is Presentation.REPEATED:
                return await self._repeated(store, request, found, token)
            return self._refused_widening(request, found.family)

        return await self.store.transact(work)

    async def revoke(self, token: str, client_id: str, origin: Origin) -> bool:
        """Ends the family of a token, whichever of its tokens it is, for its own client. False when it is not one.

        Raises InvalidGrantError when it is another client's.
        """
        family_id = self.tokens().owner(token)
        if family_id is None:
            return False

        async def work(store: Aggregates) -> None:
            found = await store.refresh_families.locked(family_id)
            if found is None:
                return
            if found.family.client_id != client_id:
                raise InvalidGrantError("The token was issued to another client.")
            if await store.refresh_families.revoke(family_id):
                user_id, detail = str(found.user.id), {"family": str(family_id)}
                event = AuditEvent("refresh.revoked", "success", origin, client_id, user_id, client_id, detail)
                await store.audit.add(event)

        await self.store.transact(work)
        return True

    async def current(self, token: str) -> FamilyOfUser | None:
        """The family of which this is the current, good token: for introspection."""
        family_id = self.tokens().owner(token)
        found = await self.store.refresh_families.find(family_id) if family_id else None
        if found is None or not found.user.is_active or not found.family.is_alive(self.clock()):
            return None
        return found if hmac.compare_digest(found.family.current_digest, digest(token)) else None

    async def _repeated(
        self, store: Aggregates, request: TokenRequest, found: FamilyOfUser, token: str
    ) -> Authorization | OAuth2Error:
        """The same successor once more: nothing changes, so it can be asked for again until the window ends."""
        sealed = found.family.sealed_successor
        successor = self.tokens().open(token, sealed) if sealed else None
        if successor is None:
            return InvalidGrantError(_NOT_GOOD)
        refusal = self._refused_widening(request, found.family)
        if narrowed(request.scope.split(" ") if request.scope else None, found.family.scope) is None:
            return refusal
        await store.audit.add(_event(request, found, "refresh.repeated", "success"))
        return self._authorization(request, found, successor)

    def _refused_widening(self, request: TokenRequest, family: Family) -> OAuth2Error:
        """The only thing left that can stand against a good token: it asks for more than was granted (R12)."""
        if request.scope and narrowed(request.scope.split(" "), family.scope) is None:
            return InvalidScopeError("The scope is more than what was granted.")
        return InvalidTargetError("The resource is not one that was granted.")

    def _authorization(self, request: TokenRequest, found: FamilyOfUser, successor: str) -> Authorization:
        """What was granted, as far as it is asked for and the client is registered for it still (R12)."""
        family, client = found.family, request.client
        scope = narrowed(request.scope.split(" ") if request.scope else None, family.scope) or ()
        audience = request.resources or family.audience
        return Authorization(
            client,
            tuple(value for value in scope if value in client.scopes),
            audience,
            Authentication(found.user, family.auth_time, family.amr),
            family_id=family.id,
            refresh_token=successor,
        )


def _event(request: TokenRequest, found: FamilyOfUser, event: str, outcome: Outcome) -> AuditEvent:
    user_id, client_id = str(found.user.id), request.client.client_id
    detail = {"family": str(found.family.id)}
    return AuditEvent(event, outcome, request.origin, client_id, user_id, client_id, detail)
