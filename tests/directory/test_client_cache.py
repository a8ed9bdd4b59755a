"""A client costs one query a second, goes on through an outage for as long as it may, and cannot be pushed out."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from idp.directory import client_cache
from idp.directory.client_cache import FRESH, ClientCache
from idp.protocol.client import Client
from idp.store.clients import Clients
from idp.store.database import Database, DatabaseUnavailable

OFFLINE = 60.0
APP = Client("app", "An app", "none", frozenset(), origins=("https://app.example",))


class Registry(Clients):
    """Clients in memory, in a database that can be away or slow."""

    def __init__(self, *clients: Client) -> None:
        super().__init__(Database("postgresql:///nowhere"))
        self.clients = {client.client_id: client for client in clients}
        self.queries = 0
        self.away = False
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def find_all(self, client_ids: Sequence[str]) -> Sequence[Client]:
        await self._query()
        return [client for client_id, client in self.clients.items() if client_id in client_ids]

    async def origins(self) -> frozenset[str]:
        await self._query()
        return frozenset(origin for client in self.clients.values() for origin in client.origins)

    async def _query(self) -> None:
        self.queries += 1
        await asyncio.sleep(0)
        await self.flowing.wait()
        if self.away:
            raise DatabaseUnavailable


class Setting:
    """A cache over a registry, and the time."""

    def __init__(self) -> None:
        self.registry = Registry(APP)
        self.time = 1000.0
        self.cache = ClientCache(self.registry, offline=OFFLINE, ticker=lambda: self.time)


@pytest.fixture
async def setting() -> Setting:
    return Setting()


async def begun(finding: Coroutine[Any, Any, Client | None]) -> asyncio.Task[Client | None]:
    """The task, after it has come as far as it can."""
    task = asyncio.create_task(finding)
    for _ in range(10):
        await asyncio.sleep(0)
    return task


async def test_within_a_second_a_client_is_read_once(setting: Setting) -> None:
    for _ in range(100):
        assert await setting.cache.find("app") == APP
        setting.time += FRESH / 101
    assert setting.registry.queries == 1
    setting.time += FRESH
    assert await setting.cache.find("app") == APP
    assert setting.registry.queries == 2


async def test_a_change_and_a_removal_are_noticed_after_a_second(setting: Setting) -> None:
    await setting.cache.find("app")
    changed = setting.registry.clients["app"] = replace(APP, name="another name")
    assert await setting.cache.find("app") == APP
    setting.time += FRESH
    assert await setting.cache.find("app") == changed
    del setting.registry.clients["app"]
    setting.time += FRESH
    assert await setting.cache.find("app") is None
    setting.registry.away = True
    with pytest.raises(DatabaseUnavailable):
        await setting.cache.find("app")


async def test_a_new_client_is_known_at_once(setting: Setting) -> None:
    assert await setting.cache.find("new") is None
    new = setting.registry.clients["new"] = replace(APP, client_id="new")
    assert await setting.cache.find("new") == new


async def test_all_who_ask_at_the_same_time_share_one_query(setting: Setting) -> None:
    assert await asyncio.gather(*(setting.cache.find("app") for _ in range(200))) == [APP] * 200
    assert await asyncio.gather(*(setting.cache.find("ghost") for _ in range(200))) == [None] * 200
    assert setting.registry.queries == 2


async def test_who_gives_up_does_not_spoil_it_for_the_others(setting: Setting) -> None:
    setting.registry.flowing.clear()
    first, second = (asyncio.create_task(setting.cache.find("app")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    setting.registry.flowing.set()
    assert await second == APP
    assert setting.registry.queries == 1


async def test_through_an_outage_a_client_goes_on_for_so_long_and_no_longer(setting: Setting) -> None:
    await setting.cache.find("app")
    setting.registry.away = True
    setting.time += OFFLINE - 0.001
    assert await setting.cache.find("app") == APP
    setting.time += 0.001
    with pytest.raises(DatabaseUnavailable):
        await setting.cache.find("app")
    with pytest.raises(DatabaseUnavailable):
        await setting.cache.find("never seen")
    setting.registry.away = False
    assert await setting.cache.find("app") == APP


async def test_a_client_that_was_removed_gets_nothing_from_a_slow_database(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow is not out of reach: who comes after a pause waits for what the client is now."""
    monkeypatch.setattr(client_cache, "HASTE", 0)
    await setting.cache.find("app")
    del setting.registry.clients["app"]
    setting.time += 45
    setting.registry.flowing.clear()
    finding = await begun(setting.cache.find("app"))
    setting.time += 0.3
    setting.registry.flowing.set()
    assert await finding is None


async def test_of_a_database_that_never_answers_only_the_first_wait(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_cache, "HASTE", 0)
    monkeypatch.setattr(client_cache, "PATIENCE", 30)  # for longer than this test
    other = setting.registry.clients["other"] = replace(APP, client_id="other")
    await asyncio.gather(setting.cache.find("app"), setting.cache.find("other"))
    setting.time += FRESH
    setting.registry.flowing.clear()
    first = await begun(setting.cache.find("app"))
    setting.time += client_cache.PATIENCE
    async with asyncio.timeout(5):
        for _ in range(50):
            assert await setting.cache.find("app") == APP
            assert await setting.cache.find("other") == other
    assert not first.done()
    setting.registry.flowing.set()
    assert await first == APP
    assert setting.registry.queries == 3  # both, then each of them


async def test_those_asked_for_at_the_same_time_are_read_together(setting: Setting) -> None:
    names = [f"app{number}" for number in range(100)]
    for name in names[:90]:
        setting.registry.clients[name] = replace(APP, client_id=name)
    finding = [asyncio.create_task(setting.cache.find(name)) for name in names]
    given_up = asyncio.create_task(setting.cache.find("app0"))
    await asyncio.sleep(0)
    given_up.cancel()
    found = await asyncio.gather(*finding)
    assert [client and client.client_id for client in found] == [*names[:90], *[None] * 10]
    assert setting.registry.queries == 2  # there is a bound to a statement


async def test_an_outage_is_told_to_all_who_asked(setting: Setting) -> None:
    setting.registry.away = True
    found = await asyncio.gather(*map(setting.cache.find, ["app", "other"]), return_exceptions=True)
    assert [type(outcome) for outcome in found] == [DatabaseUnavailable] * 2
    assert setting.registry.queries == 1


async def test_a_database_that_does_not_answer_is_given_up_in_time(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FRESH + client_cache.PATIENCE < 2, "so long may a client be known that is removed"
    monkeypatch.setattr(client_cache, "PATIENCE", 0.01)
    await setting.cache.find("app")
    setting.time += FRESH
    setting.registry.flowing.clear()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(setting.cache.find("app") for _ in range(50))) == [APP] * 50
    setting.registry.flowing.set()


@pytest.mark.parametrize("failed", [True, False], ids=["failed", "late"])
async def test_an_outage_is_remembered_for_a_second(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, *, failed: bool
) -> None:
    monkeypatch.setattr(client_cache, "HASTE", 0)
    monkeypatch.setattr(client_cache, "PATIENCE", 30)  # for longer than this test
    setting.registry.clients["other"] = replace(APP, client_id="other")
    await asyncio.gather(setting.cache.find("app"), setting.cache.find("other"))
    setting.time += FRESH
    setting.registry.flowing.clear()
    finding = await begun(setting.cache.find("other"))
    setting.time += 0 if failed else client_cache.PATIENCE
    setting.registry.away = failed
    setting.registry.flowing.set()
    await finding
    setting.registry.away = False
    setting.registry.flowing.clear()
    changed = setting.registry.clients["app"] = replace(APP, name="another name")
    setting.time += FRESH / 2
    async with asyncio.timeout(5):
        assert await setting.cache.find("app") == APP
    setting.time += FRESH / 2
    finding = await begun(setting.cache.find("app"))
    setting.registry.flowing.set()
    assert await finding == changed


async def test_invented_ids_take_no_room_and_push_nobody_out(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_cache, "BOUND", 10)
    await setting.cache.find("app")
    for number in range(10_000):
        assert await setting.cache.find(f"invented{number}") is None
    assert len(setting.cache._known) == 1
    assert not setting.cache._asked
    setting.registry.away = True
    setting.time += OFFLINE / 2
    assert await setting.cache.find("app") == APP


async def test_memory_is_bounded_and_the_busiest_stay(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_cache, "BOUND", 10)
    for number in range(100):
        setting.registry.clients[f"app{number}"] = replace(APP, client_id=f"app{number}")
        await setting.cache.find(f"app{number}")
        await setting.cache.find("app")
    assert len(setting.cache._known) == 10
    assert setting.registry.queries == 101  # "app" but once


@pytest.mark.parametrize("client_id", ["nul\0", "\ud800", "é", "tab\t", "\x1b[0m"])
async def test_ids_that_nobody_can_have_cost_no_query(client_id: str, setting: Setting) -> None:
    assert await setting.cache.find(client_id) is None
    assert setting.registry.queries == 0


async def test_origins_are_read_once_a_second_and_outlive_an_outage(setting: Setting) -> None:
    for _ in range(50):
        assert await setting.cache.is_registered_origin("https://app.example")
        assert not await setting.cache.is_registered_origin("https://evil.example")
    assert setting.registry.queries == 1
    setting.registry.away = True
    setting.time += 10 * OFFLINE
    assert await setting.cache.is_registered_origin("https://app.example")


async def test_no_origin_is_registered_before_any_was_read(setting: Setting) -> None:
    setting.registry.away = True
    assert not await setting.cache.is_registered_origin("https://app.example")
