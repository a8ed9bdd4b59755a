"""The secrets that make refresh tokens and nonces: made once, moved by `keys reseal`, forgotten by `idp recover`."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from idp.protocol.errors import InvalidGrantError
from idp.signing.server_secrets import DPOP_NONCES, NAMES, REFRESH_TOKENS, NonceSecret, RefreshTokenSecret, sealed_as
from idp.store import Store
from keys.sealing import Sealer, SealingKey, UnknownSealingKeyError, UnsealError
from tests.cli.conftest import environment, idp
from tests.cli.runs import Idp
from tests.refresh.beginning import SEALER, begun, client_of, families_on, person, presented
from tests.service import KEY_ENCRYPTION_KEY
from tests.store.observing import opened

__all__ = ["environment", "idp"]

NEW_KEY = bytes(range(1, 33))


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with opened(database, connections=8, acquire=10) as connected:
        yield Store(connected)


def keys(*secrets: bytes) -> str:
    return ",".join(base64.b64encode(secret).decode() for secret in secrets)


async def test_instances_that_start_at_once_agree_on_it(store: Store) -> None:
    for _ in range(10):
        await store.server_secrets.forget(REFRESH_TOKENS)
        instances = [RefreshTokenSecret(store, SEALER) for _ in range(8)]
        await asyncio.gather(*(instance.start() for instance in instances))
        assert len({instance().secret for instance in instances}) == 1


async def test_a_later_start_finds_it_again(store: Store) -> None:
    families, client, user = await families_on(store), await client_of(store), await person(store)
    token = await begun(families, client, user)
    assert isinstance(await presented(await families_on(store), client, token), str)


async def test_nonces_have_a_secret_of_their_own(store: Store) -> None:
    nonces, tokens = NonceSecret(store, SEALER), RefreshTokenSecret(store, SEALER)
    await nonces.start()
    await tokens.start()
    assert nonces().secret != tokens().secret


async def test_l1_the_database_alone_does_not_tell_it(store: Store) -> None:
    stored = (await store.server_secrets.all())[REFRESH_TOKENS]
    assert SEALER.open(sealed_as(REFRESH_TOKENS), stored) not in stored.box
    with pytest.raises(UnsealError):
        SEALER.open(sealed_as("another"), stored)


async def test_without_its_key_no_other_is_made(store: Store) -> None:
    before = await store.server_secrets.all()
    with pytest.raises(UnknownSealingKeyError):
        await RefreshTokenSecret(store, Sealer((SealingKey(NEW_KEY),))).start()
    assert await store.server_secrets.all() == before


async def test_one_that_is_damaged_is_not_replaced(store: Store) -> None:
    await store.executor.execute("update server_secrets set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    before = await store.server_secrets.all()
    with pytest.raises(UnsealError):
        await RefreshTokenSecret(store, SEALER).start()
    assert await store.server_secrets.all() == before


async def test_reseal_moves_it_and_every_token_goes_on(store: Store, idp: Idp) -> None:
    families, client, user = await families_on(store), await client_of(store), await person(store)
    token = await begun(families, client, user)
    idp.monkeypatch.setenv("IDP_KEY_ENCRYPTION_KEY", keys(NEW_KEY, KEY_ENCRYPTION_KEY))
    moved = await asyncio.to_thread(idp.json, "keys", "reseal")
    assert moved == {"resealed": len(await private_keys(store)) + len(NAMES)}
    assert await asyncio.to_thread(idp.json, "keys", "reseal") == {"resealed": 0}

    secret = RefreshTokenSecret(store, Sealer((SealingKey(NEW_KEY),)))
    await secret.start()
    assert secret().owner(token)
    events = await store.audit.page(event="server_secret.resealed")
    assert {event.subject for event in events} == {REFRESH_TOKENS, DPOP_NONCES}


async def test_reseal_changes_nothing_that_does_not_open(store: Store, idp: Idp) -> None:
    before = await store.server_secrets.all()
    idp.monkeypatch.setenv("IDP_KEY_ENCRYPTION_KEY", keys(NEW_KEY))
    assert (await asyncio.to_thread(idp, "keys", "reseal")).code == 1
    assert await store.server_secrets.all() == before


async def test_recover_ends_what_the_backup_holds(store: Store, idp: Idp) -> None:
    families, client, user = await families_on(store), await client_of(store), await person(store)
    tokens = [await begun(families, client, user) for _ in range(3)]
    recovered = await asyncio.to_thread(idp.json, "recover")
    assert recovered["ended_families"] == 3
    assert recovered["revoked_keys"]

    for known in (families, await families_on(store)):  # an instance from before, and one that starts now
        for token in tokens:
            assert isinstance(await presented(known, client, token), InvalidGrantError)
    anew = await families_on(store)
    assert anew.tokens().secret != families.tokens().secret
    assert DPOP_NONCES not in await store.server_secrets.all()
    assert isinstance(await presented(anew, client, await begun(anew, client, user)), str)
    (event,) = await store.audit.page(event="refresh.revoked")
    assert dict(event.detail) == {"reason": "recovery", "families": "3"}


async def test_recover_says_what_it_ended_and_may_be_run_again(store: Store, idp: Idp) -> None:
    families, client, user = await families_on(store), await client_of(store), await person(store)
    await begun(families, client, user)
    said = (await asyncio.to_thread(idp.ok, "recover")).out
    assert "Families of refresh tokens ended: 1;" in " ".join(said.split())
    assert (await asyncio.to_thread(idp.json, "recover"))["ended_families"] == 0


async def private_keys(store: Store) -> list[str]:
    return [key.kid for key in await store.signing_keys.all() if key.sealed]
