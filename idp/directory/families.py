"""Families of refresh tokens: beginning one, presenting a token of one, ending them."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from idp.directory.swaps import Swaps
from idp.protocol.audit import AuditEvent, Outcome
from idp.protocol.authorization import Authorization, Origin, TokenRequest
from idp.protocol.errors import InvalidGrantError, OAuth2Error, TemporarilyUnavailableError
from idp.protocol.ports import Clock
from idp.protocol.refresh import NO_TOKEN, Family, Presentation, RefreshPolicy, excess, presentation
from idp.protocol.status import DrawStatus, Status, no_status
from idp.store import Aggregates, Store
from idp.store.refresh_families import FamilyOfUser, Granted, Swap
from keys.opaque import OpaqueTokens, digest

_NOT_GOOD = "The refresh token is invalid, expired, revoked or another client's."

_UNPROVED = "The refresh token is bound to a key, and the request does not prove it by DPoP."


@dataclass(frozen=True, slots=True)
class Families:
    """What grants and endpoints do with families."""

    store: Store
    swaps: Swaps
    tokens: Callable[[], OpaqueTokens]
    policy: RefreshPolicy
    clock: Clock
    draw_status: DrawStatus = no_status

    async def begin(self, request: TokenRequest, authorization: Authorization) -> Authorization:
        """The same with the first token of a new family, if the client may refresh. Raises InvalidGrantError when the
        person was disabled, or changed the password, since they logged in a moment ago.

        Where access tokens have a status, every login is a family, so that they can end before their time.

        A public client's is bound to the key that it has proved to hold; a confidential one's is bound to its
        credentials already (RFC 9449 §5).
        """
        authentication = authorization.authentication
        assert authentication is not None, "only a person's authorization is refreshed"
        status, may_refresh = self.draw_status(), request.client.may_refresh
        if status is None and not may_refresh:
            return authorization
        family_id, now = uuid4(), self.clock()
        token = self.tokens().new(family_id) if may_refresh else None
        expires_at = now + self.policy.ttl if status is None or may_refresh else status.expires_at
        family = Family(
            id=family_id,
            client_id=authorization.client.client_id,
            user_id=authentication.user.id,
            scope=authorization.scope,
            audience=authorization.audience,
            auth_time=authentication.time,
            amr=authentication.methods,
            current_digest=digest(token) if token else NO_TOKEN,
            previous_digest=None,
            rotated_at=None,
            sealed_successor=None,
            idle_until=now + self.policy.idle_ttl,
            expires_at=expires_at,
            dpop_jkt=request.dpop_jkt if request.client.is_public else None,
        )
        if not await self.store.refresh_families.add(family, authentication.user.credentials_epoch, status):
            raise InvalidGrantError("The login is not good any more.")
        return replace(authorization, family_id=family_id, refresh_token=token, status=status)

    async def present(self, request: TokenRequest, token: str) -> Authorization | OAuth2Error:
        """What the client may have for this token: the way without contention is one statement."""
        tokens = self.tokens()
        family_id = tokens.owner(token)
        if family_id is None:
            return InvalidGrantError(_NOT_GOOD)
        successor, status = tokens.new(family_id), self.draw_status()
        swap = Swap(
            family_id,
            request.client.client_id,
            digest(token),
            digest(successor),
            tokens.seal(token, successor) if self.policy.retry_window else None,
            scope=_asked_scope(request),
            audience=request.resources,
            dpop_jkt=request.dpop_jkt,
            status=status,
        )
        swapped = await self.swaps.make(swap)
        if swapped:
            return _authorization(request, family_id, swapped, successor, status)
        return await self._contended(request, family_id, token)

    async def _contended(self, request: TokenRequest, family_id: UUID, token: str) -> Authorization | OAuth2Error:
        """What stood against the swap. It is looked up without a lock, so that many racers do not queue: whatever
        happens meanwhile, a replay stays one, and a successor that ends meanwhile is worth nothing."""
        found = await self.store.refresh_families.find(family_id)
        if found is None or not found.user.is_active:
            return InvalidGrantError(_NOT_GOOD)
        client_id, origin = request.client.client_id, request.origin
        meaning = presentation(
            found.family, digest(token), client_id, request.dpop_jkt, found.read_at, self.policy.retry_window
        )
        if meaning is Presentation.REPLAYED:
            await self._end(found, "refresh.replayed", "failure", client_id, origin)
        if meaning in (Presentation.FOREIGN, Presentation.UNPROVED):
            await self.store.audit.add(_event(found, "refresh.refused", "refused", client_id, origin))
        if meaning not in (Presentation.CURRENT, Presentation.REPEATED):
            return InvalidGrantError(_UNPROVED if meaning is Presentation.UNPROVED else _NOT_GOOD)
        if refusal := excess(found.family, _asked_scope(request), request.resources):
            return refusal
        if meaning is Presentation.REPEATED:
            return await self._repeated(request, found, token)
        # What stood against it is gone, or will be soon: the database's clock was set back, or it is full of statuses.
        return TemporarilyUnavailableError("The token could not be exchanged; try again.", retry_after=1)

    async def _repeated(self, request: TokenRequest, found: FamilyOfUser, token: str) -> Authorization | OAuth2Error:
        """The same successor once more: no token changes, so it can be asked for again until the window ends."""
        sealed = found.family.sealed_successor
        successor = self.tokens().open(token, sealed) if sealed else None
        if successor is None:
            return InvalidGrantError(_NOT_GOOD)
        status = await self.join(found.family.id)
        await self.store.audit.add(
            _event(found, "refresh.repeated", "success", request.client.client_id, request.origin)
        )
        return _authorization(request, found.family.id, found.granted, successor, status)

    async def join(self, family_id: UUID) -> Status | None:
        """A status for one more access token that ends with the family; None where tokens have none.

        Raises InvalidGrantError when the family has ended, TemporarilyUnavailableError when it is full.
        """
        status = self.draw_status()
        if status is None or await self.store.refresh_families.add_status(family_id, status):
            return status
        found = await self.store.refresh_families.find(family_id)
        if found is None or found.family.revoked_at is not None:
            raise InvalidGrantError(_NOT_GOOD)
        raise TemporarilyUnavailableError("Too many tokens of this login are alive; try again.", retry_after=1)

    async def revoke(self, token: str, client_id: str, origin: Origin) -> bool:
        """Ends the family of a token, whichever of its tokens it is, for its own client. False when it is not one.

        Raises InvalidGrantError when it is another client's.
        """
        family_id = self.tokens().owner(token)
        if family_id is None:
            return False
        found = await self.store.refresh_families.find(family_id)
        if found and found.family.client_id != client_id:
            raise InvalidGrantError("The token was issued to another client.")
        if found:
            await self._end(found, "refresh.revoked", "success", client_id, origin)
        return True

    async def _end(self, found: FamilyOfUser, event: str, outcome: Outcome, client_id: str, origin: Origin) -> None:
        """Ends a family, and says so in the audit log if it had not ended yet."""

        async def work(store: Aggregates) -> None:
            if await store.refresh_families.revoke(found.family.id):
                await store.audit.add(_event(found, event, outcome, client_id, origin))

        await self.store.transact(work)

    async def current(self, token: str) -> FamilyOfUser | None:
        """The family of which this is the current, good token: for introspection."""
        family_id = self.tokens().owner(token)
        found = await self.store.refresh_families.find(family_id) if family_id else None
        if found is None or not found.user.is_active or not found.family.is_alive(found.read_at):
            return None
        return found if hmac.compare_digest(found.family.current_digest, digest(token)) else None


def _asked_scope(request: TokenRequest) -> tuple[str, ...]:
    return tuple(dict.fromkeys(request.scope.split(" "))) if request.scope else ()


def _authorization(
    request: TokenRequest, family_id: UUID, granted: Granted, successor: str, status: Status | None
) -> Authorization:
    """What was granted, as far as it is asked for. The next refresh may ask for all of it again."""
    return Authorization(
        request.client,
        _asked_scope(request) or granted.scope,
        request.resources or granted.audience,
        granted.authentication,
        family_id=family_id,
        refresh_token=successor,
        status=status,
    )


def _event(found: FamilyOfUser, event: str, outcome: Outcome, client_id: str, origin: Origin) -> AuditEvent:
    detail = {"family": str(found.family.id)}
    return AuditEvent(event, outcome, origin, client_id, str(found.user.id), client_id, detail)
