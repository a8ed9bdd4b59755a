"""A field that proved a client is known for as long as that client is what it was, and no longer than it is."""

import asyncio
from dataclasses import replace

import pytest

from idp.directory import proved_clients
from idp.directory.client_cache import FRESH
from idp.directory.proved_clients import ProvedClients
from idp.protocol.client import Client, ClientSecret
from tests.directory.test_client_cache import APP, Setting


@pytest.fixture
async def setting() -> Setting:
    return Setting()


@pytest.fixture
def proved(setting: Setting) -> ProvedClients:
    return ProvedClients(setting.cache)


async def found(setting: Setting) -> Client:
    client = await setting.cache.find("app")
    assert client is not None
    return client


async def test_this_field_and_no_other(setting: Setting, proved: ProvedClients) -> None:
    assert await proved.find("Basic YTpi") is None
    proved.remember("Basic YTpi", await found(setting))
    assert await proved.find("Basic YTpi") == APP
    for other in ("Basic YTpj", "basic YTpi", "Basic YTpi ", "Basic", ""):
        assert await proved.find(other) is None


async def test_what_was_read_again_is_proved_again(setting: Setting, proved: ProvedClients) -> None:
    """The client may have another secret now, or be another one."""
    proved.remember("Basic YTpi", await found(setting))
    setting.registry.clients["app"] = replace(APP, name="Another")
    setting.time += FRESH
    assert await proved.find("Basic YTpi") is None
    proved.remember("Basic YTpi", await found(setting))
    client = await proved.find("Basic YTpi")
    assert client is not None
    assert client.name == "Another"


async def test_a_client_that_is_gone(setting: Setting, proved: ProvedClients) -> None:
    proved.remember("Basic YTpi", await found(setting))
    setting.registry.clients.clear()
    setting.time += FRESH
    assert await proved.find("Basic YTpi") is None


async def test_a_secret_that_ends_is_compared_each_time(setting: Setting, proved: ProvedClients) -> None:
    secrets = (ClientSecret(b"new"), ClientSecret(b"old", expires_at=2e9))
    setting.registry.clients["app"] = replace(APP, secrets=secrets)
    proved.remember("Basic YTpi", await found(setting))
    assert await proved.find("Basic YTpi") is None


async def test_no_field_is_kept_for_long(setting: Setting) -> None:
    """Whether anybody asks again or not."""
    proved = ProvedClients(setting.cache, seconds=0)
    proved.remember("Basic YTpi", await found(setting))
    assert await proved.find("Basic YTpi") == APP
    for _ in range(10):
        await asyncio.sleep(0)
    assert not proved._proved
    proved.remember("Basic YTpi", await found(setting))
    assert await proved.find("Basic YTpi") == APP


async def test_what_is_kept_is_bounded(
    setting: Setting, proved: ProvedClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proved_clients, "BOUND", 10)
    client = await found(setting)
    proved.remember("Basic " + "a" * 512, client)
    assert not proved._proved
    for number in range(20):
        proved.remember(f"Basic {number}", client)
    assert len(proved._proved) == 10
