"""An answer that is lost on its way costs nobody a login, and leaves one living leaf."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from idp import app
from idp.audit import AuditQueue
from idp.cli.directories import directories
from idp.parts import Parts
from keys.opaque import digest
from tests import builders
from tests.refresh.beginning import REFRESHING, begun, families_on, pass_time, person
from tests.refresh.conftest import Pair
from tests.security.instance import instance
from tests.service import settings_for
from tests.store.relay import relayed

SOME, ALL = 60, pytest.param(1000, marks=pytest.mark.chaos)
AT_ONCE = 6
Lost = Callable[[Pair, str], Awaitable[str | None]]


async def read_by_nobody(pair: Pair, token: str) -> str | None:
    """The whole answer came out of the instance. Gives the successor, which the client never saw."""
    return (await pair.callers[0].refresh(token)).successor


async def cut(pair: Pair, token: str) -> str | None:
    await pair.callers[0].refresh_and_vanish(token)
    return None


@pytest.mark.parametrize("answers", [SOME, ALL])
@pytest.mark.parametrize("lose", [read_by_nobody, cut])
async def test_r11_no_lost_answer_costs_a_login_and_every_replay_is_caught(
    pair: Pair, answers: int, lose: Lost
) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def go_through() -> None:
        async with room:
            first = await pair.begun()
            lost = await lose(pair, first)
            retried = await pair.callers[1].refresh(first)
            assert retried.status == 200, "a forced login"
            assert retried.successor
            assert lost in (None, retried.successor), "two living leaves"
            leaf = await pair.callers[0].refresh(retried.successor)
            assert leaf.successor
            for token in (first, leaf.successor):  # the replay of an ancestor, and what it did
                assert (await pair.callers[1].refresh(token)).error == "invalid_grant"

    await asyncio.gather(*(go_through() for _ in range(answers)))
    rows = await pair.store.executor.fetch_all(
        """select count(*) as families, count(revoked_at) as ended from refresh_families where client_id = $1""",
        pair.client.client.client_id,
    )
    assert dict(rows[0]) == {"families": answers, "ended": answers}


async def test_r11_several_answers_in_a_row_may_be_lost(pair: Pair) -> None:
    token = await pair.begun()
    for _ in range(5):
        for caller in pair.callers * 3:
            await caller.refresh_and_vanish(token)
        answer = await pair.callers[0].refresh(token)
        assert answer.successor
        token = answer.successor


@pytest.mark.parametrize("answers", [5, pytest.param(100, marks=pytest.mark.chaos)])
async def test_r11_a_commit_whose_answer_the_service_never_saw(database: str, answers: int) -> None:
    """The connection to PostgreSQL breaks right after the swap: 503, and the client may try again."""
    async with relayed(database) as (relay, dsn), instance(dsn) as service, service.at("192.0.2.1") as http:
        families = await families_on(service.store)
        client = await builders.client(service.directory, **REFRESHING)
        unavailable = 0
        for _ in range(answers):
            token = await begun(families, client.client, await person(service.store))
            form = {"grant_type": "refresh_token", "refresh_token": token}
            relay.cut_answer_to(digest(token))
            unavailable += (await http.post("/token", data=form, auth=client.auth)).status_code == 503
            again = await http.post("/token", data=form, auth=client.auth)
            form["refresh_token"] = again.json()["refresh_token"]
            assert (await http.post("/token", data=form, auth=client.auth)).status_code == 200
        assert unavailable > answers / 2, "the relay cut off somebody else, now and then"


async def test_a_revocation_that_is_not_known_to_be_durable_is_not_confirmed(database: str) -> None:
    """RFC 7009 §2.2.1: 503, and the client asks again."""
    async with relayed(database) as (relay, dsn), instance(dsn) as service, service.at("192.0.2.1") as http:
        client = await builders.client(service.directory, **REFRESHING)
        form = {"token": await begun(await families_on(service.store), client.client, await person(service.store))}
        async with asyncio.timeout(30):
            relay.cut_answer_to(b"COMMIT")
            while (answer := await http.post("/revoke", data=form, auth=client.auth)).status_code != 503:
                relay.cut_answer_to(b"COMMIT")  # it had cut off somebody else
        assert (answer.json()["error"], answer.headers["retry-after"]) == ("temporarily_unavailable", "1")
        assert (await http.post("/revoke", data=form, auth=client.auth)).status_code == 200


async def test_r11_nothing_is_spent_for_a_token_that_nobody_can_sign(database: str) -> None:
    """Else an outage of signing that outlives the window would end the session of everybody who came by meanwhile."""
    parts = Parts.of(settings_for(database))
    transport = httpx.ASGITransport(app.build(settings_for(database), parts))
    async with (
        parts.running(),
        directories(settings_for(database)) as directory,
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        client, user = await builders.client(directory, **REFRESHING), await person(directory.store)
        token = await begun(await families_on(directory.store), client.client, user)
        form = {"grant_type": "refresh_token", "refresh_token": token}
        await parts.keeper.stop()
        keys = await directory.store.signing_keys.all()
        parts.keyring.replace([], parts.clock())
        assert (await http.post("/token", data=form, auth=client.auth)).status_code == 503
        await pass_time(directory.store, user, 60)
        parts.keyring.replace(keys, parts.clock())
        assert (await http.post("/token", data=form, auth=client.auth)).status_code == 200


async def test_r11_nothing_is_spent_for_a_token_that_cannot_be_recorded(database: str) -> None:
    """Likewise, when the audit log alone cannot be written; of two who come at once, one may have the last place."""
    parts = Parts.of(settings_for(database))
    parts = replace(parts, audit=AuditQueue(parts.store.audit, parts.clock, interval=600, bound=1))
    transport = httpx.ASGITransport(app.build(settings_for(database), parts))
    async with (
        parts.running(),
        directories(settings_for(database)) as directory,
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        client, user = await builders.client(directory, **REFRESHING), await person(directory.store)
        families = await families_on(directory.store)
        forms = [
            {"grant_type": "refresh_token", "refresh_token": await begun(families, client.client, user)}
            for _ in range(4)
        ]
        answers = await asyncio.gather(*(http.post("/token", data=form, auth=client.auth) for form in forms))
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
        await pass_time(directory.store, user, 60)
        for form, answer in zip(forms, answers, strict=True):
            await parts.audit.flush()
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "5"
                assert (await http.post("/token", data=form, auth=client.auth)).status_code == 200
