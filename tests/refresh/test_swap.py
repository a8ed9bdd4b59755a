"""The one statement that swaps tokens, against the pure decision: it swaps exactly what is `CURRENT`, whether it is
asked for one swap or for several together."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.protocol.client import Client
from idp.protocol.refresh import Presentation, excess, presentation
from idp.protocol.user import User
from idp.store import Store
from idp.store.refresh_families import Granted, Swap
from tests.refresh.beginning import client_of, person

WINDOW, IDLE_TTL = 30, 60
SCOPE, AUDIENCE = ("read", "write"), ("https://one.example", "https://two.example")


@dataclass(frozen=True, slots=True)
class World:
    """What the family of a test belongs to."""

    store: Store
    client: Client
    another: Client
    user: User
    swap: Callable[[Swap], Awaitable[Granted | None]]


@pytest.fixture(params=["alone", "together"])
async def world(store: Store, request: pytest.FixtureRequest) -> World:
    families = store.refresh_families

    async def alone(swap: Swap) -> Granted | None:
        return await families.swap(swap, idle_ttl=IDLE_TTL)

    async def together(swap: Swap) -> Granted | None:
        stranger = Swap(uuid4(), swap.client_id, b"a", b"b")
        nobodys, outcome, nobodys_either = await families.swap_free([stranger, swap, stranger], idle_ttl=IDLE_TTL)
        assert (nobodys, nobodys_either) == (None, None)
        return outcome

    way = {"alone": alone, "together": together}[request.param]
    return World(store, await client_of(store), await client_of(store), await person(store), way)


def some(values: Sequence[str], more: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Some of them, in any order, now and then with one that was not granted."""
    return st.lists(st.sampled_from([*values, *values, *values, more]), max_size=3, unique=True).map(tuple)


@dataclass(frozen=True, slots=True)
class Case:
    """A family whose instants are so far from now, and what is presented of it, by its own client or another."""

    idle_until: float = 3600.0
    expires_at: float = 3600.0
    rotated_at: float | None = -5.0
    revoked_at: float | None = None
    token: str = "current"
    own: bool = True
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    bound_to: str | None = None
    proved: str | None = None


CASES = st.builds(
    Case,
    idle_until=st.sampled_from([3600.0, 60.0, -5.0]),  # away from the edge: nobody reads the clock at one instant
    expires_at=st.sampled_from([3600.0, 60.0, -5.0]),
    rotated_at=st.sampled_from([None, -5.0, -25.0, -35.0]),
    revoked_at=st.sampled_from([None, None, -10.0]),
    token=st.sampled_from(["current", "current", "previous", "ancestor"]),
    own=st.booleans(),
    scope=some(SCOPE, "admin"),
    audience=some(AUDIENCE, "https://three.example"),
    bound_to=st.sampled_from([None, "one key"]),
    proved=st.sampled_from([None, "one key", "another"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CASES)
async def test_r11_it_swaps_what_is_current(world: World, case: Case) -> None:
    await judge(world, case)


@pytest.mark.parametrize(
    "case",
    [
        Case(idle_until=-5),
        Case(expires_at=-5),
        Case(revoked_at=-10),
        Case(token="previous"),
        Case(token="ancestor"),
        Case(own=False),
        Case(scope=("read", "admin")),
        Case(audience=(AUDIENCE[0], "https://three.example")),
        Case(bound_to="one key"),
        Case(bound_to="one key", proved="another"),
    ],
)
async def test_r11_one_thing_against_it_is_enough(world: World, case: Case) -> None:
    assert not await judge(world, case)


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(rotated_at=None),
        Case(scope=SCOPE[:1], audience=AUDIENCE[1:]),
        Case(bound_to="one key", proved="one key"),
        Case(proved="one key"),
    ],
)
async def test_r11_with_nothing_against_it_it_swaps(world: World, case: Case) -> None:
    assert await judge(world, case)


async def judge(world: World, case: Case) -> bool:
    """Whether the statement swaps, which must be what the pure decision wants; and that it changes what it should."""
    digests = {name: secrets.token_bytes(32) for name in ("current", "previous", "ancestor", "successor")}
    family_id = await insert(world, digests, case)
    client_id = (world.client if case.own else world.another).client_id
    families = world.store.refresh_families
    before = await families.find(family_id)
    assert before
    swap = Swap(
        family_id,
        client_id,
        digests[case.token],
        digests["successor"],
        b"sealed",
        scope=case.scope,
        audience=case.audience,
        dpop_jkt=case.proved,
    )
    swapped = await world.swap(swap)
    meaning = presentation(before.family, digests[case.token], client_id, case.proved, before.read_at, WINDOW)
    wanted = meaning is Presentation.CURRENT and excess(before.family, case.scope, case.audience) is None
    assert (swapped is not None) == wanted
    after = await families.find(family_id)
    assert after
    if not swapped:
        assert after.family == before.family
        return False
    assert after.granted == swapped
    assert after.family.rotated_at == pytest.approx(after.read_at, abs=2)
    assert after.family.idle_until == pytest.approx((after.family.rotated_at or 0) + IDLE_TTL, abs=0.01)
    assert after.family == replace(
        before.family,
        current_digest=digests["successor"],
        previous_digest=digests["current"],
        sealed_successor=b"sealed",
        rotated_at=after.family.rotated_at,
        idle_until=after.family.idle_until,
    )
    return True


async def test_s3_it_swaps_nothing_of_somebody_disabled(world: World) -> None:
    """Not even if the family was not ended: an instance of an older version may have disabled them."""
    digests = {name: secrets.token_bytes(32) for name in ("current", "previous")}
    family_id = await insert(world, digests, Case())
    await world.store.users.set_active(world.user.id, False)
    swap = Swap(family_id, world.client.client_id, digests["current"], b"new")
    assert await world.swap(swap) is None


async def insert(world: World, digests: dict[str, bytes], case: Case) -> UUID:
    row = await world.store.executor.fetch_one(
        """insert into refresh_families (id, client_id, user_id, scopes, audiences, auth_time, amr, current_digest,
               previous_digest, idle_until, expires_at, rotated_at, revoked_at, dpop_jkt)
           select gen_random_uuid(), $1, $2, $3, $4, now(), '{pwd}', $5, $6, now() + make_interval(secs => $7),
               now() + make_interval(secs => $8), now() + make_interval(secs => $9),
               now() + make_interval(secs => $10), $11
           returning id""",
        world.client.client_id,
        world.user.id,
        list(SCOPE),
        list(AUDIENCE),
        digests["current"],
        digests["previous"],
        case.idle_until,
        case.expires_at,
        case.rotated_at,
        case.revoked_at,
        case.bound_to,
    )
    assert row
    family_id: UUID = row["id"]
    return family_id
