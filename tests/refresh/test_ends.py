"""Whatever ends families wins any race with a refresh, or a login, that is under way (S3)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from idp.cli.directories import Directories
from idp.directory.people import Changes
from idp.protocol.audit import OPERATOR
from idp.protocol.errors import InvalidGrantError
from idp.protocol.user import User
from idp.store import Store
from tests import builders
from tests.builders import ConfidentialClient
from tests.refresh.beginning import REFRESHING, begun, person
from tests.refresh.callers import Caller
from tests.refresh.conftest import Pair


async def disable(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.people.set_active(user.id, False, OPERATOR)


async def enable(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.people.set_active(user.id, True, OPERATOR)


async def change_password(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.people.change(user.id, Changes(password="a new and better passphrase"), OPERATOR)


async def remove_client(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.clients.remove(client.client.client_id, OPERATOR)


async def add_client_again(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.clients.add(client.client, client.secret, OPERATOR)


async def take_grant(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.clients.update(replace(client.client, grant_types=frozenset({"password"})), OPERATOR)


async def give_grant(directory: Directories, client: ConfidentialClient, user: User) -> None:
    await directory.clients.update(client.client, OPERATOR)


async def nothing(directory: Directories, client: ConfidentialClient, user: User) -> None: ...


ENDS = {
    "disabling": (disable, enable),
    "a new password": (change_password, nothing),
    "removing the client": (remove_client, add_client_again),
    "taking the grant": (take_grant, give_grant),
}
"""What ends families, and what undoes it: not even then does any come back."""


_REFUSED = (400, 401)
"""401 is for a client that is gone."""


class Chain:
    """A client that refreshes on and on, at either instance, and knows when the end was acknowledged."""

    def __init__(self, callers: tuple[Caller, Caller], token: str) -> None:
        self._callers = callers
        self.seen = [token]
        self.ended = asyncio.Event()

    async def go_on(self) -> None:
        while True:
            late = self.ended.is_set()
            answer = await random.choice(self._callers).refresh(self.seen[-1])
            if answer.status != 200:
                assert answer.status in _REFUSED, answer
                return
            assert not late, "a refresh succeeded that began after the end was acknowledged"
            assert answer.successor
            self.seen.append(answer.successor)

    async def end(self, work: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(random.uniform(0, 0.03))
        await work()
        self.ended.set()

    async def assert_dead(self) -> None:
        for token in self.seen:
            assert (await random.choice(self._callers).refresh(token)).status in _REFUSED


@pytest.mark.parametrize("races", [12, pytest.param(250, marks=pytest.mark.chaos)])
async def test_revocation_wins(pair: Pair, races: int) -> None:
    refreshes = 0
    for _ in range(races):
        chain = Chain(pair.callers, await pair.begun())

        async def revoke(chain: Chain = chain) -> None:
            assert await random.choice(pair.callers).revoke(random.choice(chain.seen)) == 200

        await asyncio.gather(chain.go_on(), chain.end(revoke))
        await chain.assert_dead()
        refreshes += len(chain.seen) - 1
    assert refreshes > races / 2


@pytest.mark.parametrize("races", [8, pytest.param(250, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("name", ENDS)
async def test_s3_the_end_wins_over_a_refresh(pair: Pair, name: str, races: int) -> None:
    end, undo = ENDS[name]
    refreshes = 0
    for _ in range(races):
        client, user = await builders.client(pair.directory, **REFRESHING), await person(pair.store)
        chain = Chain(pair.calling(client), await begun(pair.families, client.client, user))

        async def end_it(client: ConfidentialClient = client, user: User = user) -> None:
            await end(pair.directory, client, user)

        await asyncio.gather(chain.go_on(), chain.end(end_it))
        await chain.assert_dead()
        await undo(pair.directory, client, user)
        await chain.assert_dead()
        assert await living(pair.store, user) == 0
        refreshes += len(chain.seen) - 1
    assert refreshes > races / 2


@pytest.mark.parametrize("races", [12, pytest.param(250, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("name", ENDS)
async def test_s3_the_end_wins_over_a_login(pair: Pair, name: str, races: int) -> None:
    """Whoever logged in a moment ago gets a family before the end, which ends it, or none."""
    end, undo = ENDS[name]
    begun_at_all = 0
    for _ in range(races):
        client, user = await builders.client(pair.directory, **REFRESHING), await person(pair.store)

        async def end_soon(client: ConfidentialClient = client, user: User = user) -> None:
            await asyncio.sleep(random.uniform(0, 0.004))
            await end(pair.directory, client, user)

        logins = (begun(pair.families, client.client, user) for _ in range(3))
        *outcomes, _ = await asyncio.gather(*logins, end_soon(), return_exceptions=True)
        assert all(isinstance(outcome, str | InvalidGrantError) for outcome in outcomes), outcomes
        begun_at_all += sum(isinstance(outcome, str) for outcome in outcomes)
        await undo(pair.directory, client, user)
        assert await living(pair.store, user) == 0
    assert begun_at_all


@pytest.mark.parametrize("name", ENDS)
async def test_s3_a_login_from_before_the_end_begins_nothing(pair: Pair, name: str) -> None:
    end, undo = ENDS[name]
    client, user = await builders.client(pair.directory, **REFRESHING), await person(pair.store)
    await end(pair.directory, client, user)
    if name in ("disabling", "a new password"):  # the other two are good again once they are undone
        await undo(pair.directory, client, user)
    with pytest.raises(InvalidGrantError):
        await begun(pair.families, client.client, user)


async def test_s3_ends_that_meet_do_not_hold_each_other_up(pair: Pair) -> None:
    """People and clients that end at once share families, and lock them from both sides."""
    clients = [await builders.client(pair.directory, **REFRESHING) for _ in range(4)]
    people = [await person(pair.store) for _ in range(4)]
    everybody = [(client, user) for client in clients for user in people]
    for client, user in everybody:
        await asyncio.gather(*(begun(pair.families, client.client, user) for _ in range(8)))
    outcomes = await asyncio.gather(
        *(disable(pair.directory, clients[0], user) for user in people),
        *(take_grant(pair.directory, client, people[0]) for client in clients[:2]),
        *(remove_client(pair.directory, client, people[0]) for client in clients[2:]),
        *(begun(pair.families, client.client, user) for client, user in everybody),
        pair.store.refresh_families.purge(limit=1000),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, InvalidGrantError) for outcome in outcomes if isinstance(outcome, Exception))
    assert [await living(pair.store, user) for user in people] == [0, 0, 0, 0]


async def living(store: Store, user: User) -> int:
    row = await store.executor.fetch_one(
        "select count(*) as living from refresh_families where user_id = $1 and revoked_at is null", user.id
    )
    assert row
    return int(row["living"])
