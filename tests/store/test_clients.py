"""Clients come back as they were stored, and two of their secrets live at once, never three."""

import asyncio
from dataclasses import replace

import pytest

from idp.protocol.client import Client, ClientSecret, secret_digest
from idp.store import Aggregates, Store
from idp.store.clients import ClientIdTaken

PLAIN = Client("app", "An app", "client_secret_basic", frozenset({"client_credentials"}))
FULL = replace(
    PLAIN,
    grant_types=frozenset({"password", "refresh_token"}),
    scopes=("b", "a"),
    audiences=("https://b.example", "https://a.example"),
    redirect_uris=("https://app.example/cb",),
    post_logout_redirect_uris=("https://app.example/",),
    origins=("https://app.example", "https://two.example"),
    may_introspect=True,
    jwks={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]},
    dpop_bound_access_tokens=True,
    may_impersonate=True,
    resource_ids=("https://app.example/api",),
)
LONG = 7 * 86400


def secret(text: str, expires_at: float | None = None) -> ClientSecret:
    return ClientSecret(secret_digest(text), expires_at)


async def rotate(store: Store, text: str, *, overlap: float = LONG) -> None:
    async def work(aggregates: Aggregates) -> None:
        await aggregates.clients.expire_secrets("app", await aggregates.now() + overlap)
        await aggregates.clients.add_secret("app", secret(text))

    await store.transact(work)


async def works(store: Store, *texts: str, later: float = 0) -> list[bool]:
    client = await store.clients.find("app")
    assert client
    now = await store.now() + later
    return [client.has_secret(text, now) for text in texts]


@pytest.mark.parametrize("client", [PLAIN, FULL, replace(FULL, secrets=(secret("one"), secret("two", 2e9)))])
async def test_a_client_comes_back_as_it_was_stored(client: Client, store: Store) -> None:
    await store.clients.add(client)
    assert await store.clients.find("app") == client
    assert await store.clients.find("APP") is None
    assert await store.clients.find_all(["app", "APP", "nobody"]) == [client]
    assert await store.clients.find_all([]) == []


async def test_of_racers_with_one_id_one_wins(store: Store) -> None:
    async def register() -> None:
        await store.transact(lambda aggregates: aggregates.clients.add(PLAIN))

    answers = await asyncio.gather(*(register() for _ in range(16)), return_exceptions=True)
    assert answers.count(None) == 1
    assert [type(answer) for answer in answers].count(ClientIdTaken) == 15


async def test_an_update_keeps_the_secrets(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("one"),)))
    assert await store.clients.update(FULL)
    assert await store.clients.find("app") == replace(FULL, secrets=(secret("one"),))
    assert not await store.clients.update(replace(FULL, client_id="other"))


async def test_a_removed_client_is_gone_with_its_secrets(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("one"),)))
    assert await store.clients.remove("app")
    assert not await store.clients.remove("app")
    await store.clients.add(PLAIN)
    assert await works(store, "one") == [False]


async def test_two_secrets_overlap_and_a_third_drops_the_oldest(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("one"),)))
    assert await works(store, "one", later=10 * LONG) == [True]
    await rotate(store, "two")
    assert await works(store, "one", "two") == [True, True]
    assert await works(store, "one", "two", later=LONG + 1) == [False, True]
    await rotate(store, "three")
    assert await works(store, "one", "two", "three") == [False, True, True]
    assert await works(store, "one", "two", "three", later=LONG + 1) == [False, False, True]


async def test_a_rotation_never_prolongs_a_secret(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("one", await store.now() + 10),)))
    await rotate(store, "two")
    assert await works(store, "one", later=11) == [False]


async def test_a_rotation_without_overlap_ends_the_old_secret_now(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("one"),)))
    await rotate(store, "two", overlap=0)
    assert await works(store, "one", "two") == [False, True]


async def test_rotations_at_once_leave_two_secrets(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("zero"),)))
    names = [f"secret {number}" for number in range(8)]
    await asyncio.gather(*(rotate(store, name) for name in names))
    assert (await works(store, "zero", *names)).count(True) == 2
    assert (await works(store, "zero", *names, later=LONG + 1)).count(True) == 1


async def test_a_secret_given_again_begins_anew(store: Store) -> None:
    await store.clients.add(replace(PLAIN, secrets=(secret("one"),)))
    await rotate(store, "one")
    assert await works(store, "one", later=LONG + 1) == [True]


async def test_pages_and_origins(store: Store) -> None:
    known = {client.client_id for client in await store.clients.page(after=None, limit=100)}
    for number in range(5):
        await store.clients.add(replace(FULL, client_id=f"app{number}"))
    seen: list[str] = []
    while page := await store.clients.page(after=seen[-1] if seen else None, limit=2):
        seen += [client.client_id for client in page]
    assert seen == sorted(known | {f"app{number}" for number in range(5)})
    assert await store.clients.origins() == set(FULL.origins)
