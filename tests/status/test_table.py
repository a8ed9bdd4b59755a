"""What families keep of the statuses of their tokens: what lives, no more, and whatever ends them hands it over."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest

from idp.directory.families import Families
from idp.housekeeping import Housekeeping
from idp.protocol.authorization import Authentication, Authorization, TokenRequest
from idp.protocol.client import Client
from idp.protocol.errors import InvalidGrantError, OAuth2Error, TemporarilyUnavailableError
from idp.protocol.status import LIST_SIZE, Status
from idp.protocol.user import User
from idp.store import Store
from idp.store.refresh_families import MOST_STATUSES
from idp.store.revoked_tokens import MOST_LEEWAY
from tests.refresh.beginning import ORIGIN, client_of, families_on, person


class Drawn:
    """Gives indices in turn, of tokens that live for `lifetime` seconds."""

    def __init__(self, now: float, lifetime: float = 900) -> None:
        self._numbers = count()
        self._expires_at = now + lifetime

    def __call__(self) -> Status:
        return Status(0, next(self._numbers), self._expires_at)

    def expire_at(self, instant: float) -> None:
        self._expires_at = instant


class Login:
    """Somebody's family, and the access tokens that it gives, by their indices."""

    def __init__(self, families: Families, client: Client, user: User) -> None:
        self.families, self.client, self.user = families, client, user
        self.issued: list[int] = []
        self.token = ""

    async def begin(self) -> None:
        authentication = Authentication(self.user, 0, ("pwd",))
        granted = Authorization(self.client, (), self.client.audiences, authentication)
        self.take(await self.families.begin(TokenRequest(self.client, {}, (), ORIGIN), granted))

    async def refresh(self, token: str | None = None) -> OAuth2Error | None:
        outcome = await self.families.present(TokenRequest(self.client, {}, (), ORIGIN), token or self.token)
        if isinstance(outcome, OAuth2Error):
            return outcome
        self.take(outcome)
        return None

    def take(self, authorization: Authorization) -> None:
        assert authorization.status
        self.issued.append(authorization.status.idx)
        self.token = authorization.refresh_token or ""


@pytest.fixture
async def drawn(store: Store) -> Drawn:
    await store.status_lists.take(LIST_SIZE, 3600)
    return Drawn(await store.now())


@pytest.fixture
async def login(store: Store, drawn: Drawn) -> Login:
    plain = await families_on(store)
    families = replace(plain, draw_status=drawn)
    made = Login(families, await client_of(store), await person(store))
    await made.begin()
    return made


async def kept(store: Store, user: User) -> Sequence[int]:
    rows = await store.executor.fetch_all(
        "select s.idx from refresh_families f, unnest(f.statuses) s where f.user_id = $1 order by s.idx", user.id
    )
    return [row["idx"] for row in rows]


async def test_a_family_keeps_what_lives(store: Store, drawn: Drawn, login: Login) -> None:
    """Or has expired no longer ago than verifiers may be told to allow for."""
    drawn.expire_at(await store.now() - MOST_LEEWAY + 60)
    await login.refresh()
    drawn.expire_at(await store.now() - MOST_LEEWAY - 1)
    await login.refresh()
    await login.refresh()
    assert await kept(store, login.user) == [0, 1, 3]
    drawn.expire_at(await store.now() + 900)
    await login.refresh()
    assert await kept(store, login.user) == [0, 1, 4]


async def test_revoked_is_what_lives(store: Store, drawn: Drawn, login: Login) -> None:
    """Or has expired no longer ago than verifiers may be told to allow for."""
    for lifetime in (60, -MOST_LEEWAY + 60, -MOST_LEEWAY - 60):
        drawn.expire_at(await store.now() + lifetime)
        await login.refresh()
        await store.refresh_families.revoke_all_of_user(login.user.id)
        await login.begin()
    revoked = await store.status_lists.revoked(0)
    assert revoked is not None
    assert login.issued[1] in revoked
    assert not set(login.issued[-1:]) & set(revoked)


@pytest.mark.parametrize("statement", ["delete from users", "delete from clients", "delete from refresh_families"])
async def test_no_removal_forgets_them(store: Store, login: Login, statement: str) -> None:
    await login.refresh()
    await store.executor.execute(statement)
    assert await store.status_lists.revoked(0) == [0, 1]


async def test_recovery_revokes_all(store: Store, login: Login) -> None:
    await store.refresh_families.revoke_all()
    assert await store.status_lists.revoked(0) == [0]


async def test_a_full_family_waits_until_some_have_expired(store: Store, login: Login) -> None:
    """So a row has a bound, and no token is ever forgotten in it."""
    fill = """update refresh_families set statuses = array(
                  select (1, idx, now() + make_interval(secs => $1))::issued_status from generate_series(1, $2) idx)"""
    await store.executor.execute(fill, 60.0, MOST_STATUSES)
    before, family = login.token, await store.executor.fetch_one("select id from refresh_families")
    assert family
    assert isinstance(await login.refresh(), TemporarilyUnavailableError)
    with pytest.raises(TemporarilyUnavailableError):
        await login.families.join(family["id"])
    await store.executor.execute(fill, -MOST_LEEWAY - 1.0, MOST_STATUSES)
    assert await login.refresh(before) is None
    await login.families.join(family["id"])
    assert len(await kept(store, login.user)) == 2


async def test_nothing_joins_a_family_that_has_ended(store: Store, login: Login) -> None:
    family = await store.executor.fetch_one("select id from refresh_families")
    assert family
    await store.refresh_families.revoke(family["id"])
    with pytest.raises(InvalidGrantError):
        await login.families.join(family["id"])


@pytest.mark.parametrize("races", [20, pytest.param(1000, marks=pytest.mark.chaos)])
async def test_no_token_escapes_the_end_of_its_family(store: Store, login: Login, races: int) -> None:
    """Refreshes, repetitions and ends at once: whatever was handed out before or beside the end is revoked."""
    for _ in range(races):
        await login.begin()
        login.issued = login.issued[-1:]
        token = login.token

        async def end() -> None:
            await asyncio.sleep(random.uniform(0, 0.005))
            await store.refresh_families.revoke_all_of_user(login.user.id)

        async def race(token: str = token) -> None:
            try:
                await login.refresh(token)
            except (InvalidGrantError, TemporarilyUnavailableError):
                return

        await asyncio.gather(race(), race(), end(), race())
        revoked = await store.status_lists.revoked(0)
        assert revoked is not None
        assert set(login.issued) <= set(revoked)


class TestPurge:
    async def test_what_has_expired_for_everybody_goes(self, store: Store) -> None:
        now = await store.now()
        await store.status_lists.take(10, 60)
        await store.status_lists.revoke(Status(0, 1, now - MOST_LEEWAY + 60))
        await store.status_lists.revoke(Status(0, 2, now - MOST_LEEWAY - 60))
        assert await store.status_lists.revoked(0) == [1]
        assert await Housekeeping(store).purge() == 1
        assert await store.status_lists.revoked(0) == [1]

    async def test_lists_go_and_no_name_comes_again(self, store: Store) -> None:
        for lifetime in (-MOST_LEEWAY - 60, 60, -MOST_LEEWAY - 60):
            await store.status_lists.take(LIST_SIZE, lifetime)
        assert [await store.status_lists.revoked(list_id) for list_id in range(4)] == [None, [], None, None]
        assert await store.status_lists.purge(limit=100) == 1
        assert await store.status_lists.take(1, 60) == (3, 0)
