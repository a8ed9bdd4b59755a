"""People: one normal form names one person, and a password is only right while it is the stored one."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from idp.protocol.identity import login_key, parse_email, parse_username
from idp.protocol.user import User
from idp.store import Aggregates, Store
from idp.store.users import NameTaken, NewUser

RACERS = 16


def new(email: str, username: str | None = None, password_hash: str | None = "hash") -> NewUser:
    return NewUser(uuid4(), parse_email(email), parse_username(username) if username else None, password_hash)


@pytest.mark.parametrize(
    ("spelling", "field"),
    [
        (lambda n: new("Mike@Example.com" if n % 2 else "mike@example.COM"), "email"),
        (lambda n: new("mike@\uff45xample.com" if n % 2 else "mike@example.com"), "email"),
        (lambda n: new("mike@xn--bcher-kva.example" if n % 2 else "mike@bücher.example"), "email"),
        (lambda n: new(f"mike{n}@example.com", "Mike" if n % 2 else "\uff4d\uff49\uff4b\uff45"), "username"),
        (lambda n: new(f"mike{n}@example.com", "Jos\u00e9" if n % 2 else "Jose\u0301"), "username"),
    ],
)
async def test_of_racers_with_one_name_one_wins(spelling: Callable[[int], NewUser], field: str, store: Store) -> None:
    async def register(number: int) -> User:
        return await store.transact(lambda aggregates: aggregates.users.add(spelling(number)))

    answers = await asyncio.gather(*map(register, range(RACERS)), return_exceptions=True)
    assert [isinstance(answer, User) for answer in answers].count(True) == 1
    assert {answer.field for answer in answers if isinstance(answer, NameTaken)} == {field}
    assert [type(answer) for answer in answers].count(NameTaken) == RACERS - 1


async def test_names_that_only_look_alike_are_two(store: Store) -> None:
    dotted = await store.users.add(new("mike@example.com"))
    dotless = await store.users.add(new("m\u0131ke@example.com"))
    for typed, user in (("MIKE@example.com", dotted), ("m\u0131ke@example.com", dotless)):
        found = await store.users.by_login_key(login_key(typed))
        assert found
        assert found.user == user


async def test_a_person_is_found_by_either_name_as_it_was_shown(store: Store) -> None:
    person = new("Ada@Example.com", "Ada")
    added = await store.users.add(person)
    assert (added.email, added.username) == ("Ada@example.com", "Ada")
    for typed in ("ADA@example.com", "ada", "ADA"):
        found = await store.users.by_login_key(login_key(typed))
        assert found
        assert (found.user, found.password_hash) == (added, "hash")
    assert await store.users.by_login_key(login_key("ada@elsewhere.example")) is None
    assert await store.users.by_id(person.id) == added
    assert await store.users.by_id(uuid4()) is None


async def test_many_are_stored_together_or_not_at_all(store: Store) -> None:
    await store.users.add_all([new("a@example.com", "a1"), new("b@example.com")])
    with pytest.raises(NameTaken):
        await store.users.add_all([new("c@example.com"), new("d@example.com", "A1")])
    assert {user.email for user in await store.users.page(after=None, limit=10)} == {"a@example.com", "b@example.com"}
    assert await store.users.taken([new("A@example.com"), new("c@example.com", "a1")]) == {"a@example.com", "a1"}


async def test_a_password_counts_only_while_it_is_the_stored_one(store: Store) -> None:
    person = new("ada@example.com")
    added = await store.users.add(person)
    assert await store.users.with_password_hash(person.id, "hash") == added
    assert await store.users.with_password_hash(person.id, "another") is None
    assert await store.users.with_password_hash(person.id, None) is None
    assert await store.users.set_password_hash(person.id, "another")
    assert await store.users.with_password_hash(person.id, "hash") is None
    assert await store.users.with_password_hash(person.id, "another") == replace(added, credentials_epoch=1)
    await store.users.set_active(person.id, active=False)
    assert await store.users.with_password_hash(person.id, "another") is None


async def test_a_login_that_settles_holds_up_what_would_make_it_wrong(store: Store) -> None:
    """Otherwise a disabled person could get a token whose session began after the disabling."""
    person = new("ada@example.com")
    await store.users.add(person)
    disabling: list[asyncio.Task[User | None]] = []

    async def settle(aggregates: Aggregates) -> None:
        assert await aggregates.users.with_password_hash(person.id, "hash")
        disabling.append(asyncio.create_task(store.users.set_active(person.id, active=False)))
        await asyncio.sleep(0.05)
        assert not disabling[0].done()

    await store.transact(settle)
    disabled = await disabling[0]
    assert disabled
    assert not disabled.is_active


async def test_pages_hold_everybody_once(store: Store) -> None:
    ids = {(await store.users.add(new(f"p{number}@example.com"))).id for number in range(7)}
    seen: list[UUID] = []
    while page := await store.users.page(after=seen[-1] if seen else None, limit=3):
        seen += [user.id for user in page]
    assert seen == sorted(ids)


async def test_changes_of_nobody_are_told(store: Store) -> None:
    nobody = uuid4()
    assert not await store.users.set_password_hash(nobody, "hash")
    assert await store.users.set_active(nobody, active=True) is None
    assert await store.users.set_roles(nobody, ["admin"]) is None


async def test_administrators_and_imported_costs_are_known(store: Store) -> None:
    person = new("ada@example.com")
    await store.users.add(person)
    assert not await store.users.administrator_exists()
    await store.users.set_roles(person.id, ["admin"])
    assert await store.users.administrator_exists()
    assert await store.users.highest_foreign_cost() == 0
    imported = NewUser(uuid4(), parse_email("i@example.com"), None, "hash", foreign_cost=14)
    await store.users.add(imported)
    assert await store.users.highest_foreign_cost() == 14
    await store.users.set_password_hash(imported.id, "ours")
    assert await store.users.highest_foreign_cost() == 0


def test_no_hash_is_shown() -> None:
    assert "hash'" not in repr(new("ada@example.com", password_hash="a hash"))
