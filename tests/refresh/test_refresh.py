"""Refresh tokens over HTTP: rotation, repetition, replay (R9, R11, R12)."""

import asyncio
from collections import Counter
from dataclasses import replace

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from tests import builders
from tests.builders import PASSWORD
from tests.refresh.sessions import GRANTS, Session, log_in
from tests.service import Service


@pytest.fixture
async def session(http: httpx.AsyncClient, directory: Directories) -> Session:
    return await log_in(http, directory)


async def expire_window(directory: Directories, session: Session) -> None:
    """Lets the retry window of the family end, by moving its start."""
    await directory.store.executor.execute(
        "update refresh_families set rotated_at = rotated_at - interval '60 s' where user_id = $1", session.user_id
    )


async def test_r11_each_use_gives_a_successor(session: Session) -> None:
    tokens = {await session.turn() for _ in range(5)}
    assert len(tokens | {session.refresh_token}) == 6


async def test_without_the_grant_there_is_no_refresh_token(http: httpx.AsyncClient, directory: Directories) -> None:
    client = await builders.client(directory, grant_types=frozenset({"password"}))
    user = await builders.user(directory)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    answer = await http.post("/token", data=form, auth=client.auth)
    assert "refresh_token" not in answer.json()


async def test_a_lost_answer_can_be_asked_for_again(session: Session) -> None:
    lost = await session.refresh()
    again = await session.refresh()
    assert again.json()["refresh_token"] == lost.json()["refresh_token"]
    assert again.json()["access_token"] != lost.json()["access_token"]
    session.refresh_token = again.json()["refresh_token"]
    await session.turn()


async def test_r11_an_ancestor_ends_the_family(session: Session) -> None:
    first = await session.turn()
    await session.turn()
    assert (await session.refresh(first)).json()["error"] == "invalid_grant"
    assert (await session.refresh()).json()["error"] == "invalid_grant"


async def test_r11_the_token_before_ends_the_family_after_the_window(session: Session, directory: Directories) -> None:
    before = await session.turn()
    await expire_window(directory, session)
    assert (await session.refresh(before)).json()["error"] == "invalid_grant"
    assert (await session.refresh()).json()["error"] == "invalid_grant"


async def test_r11_the_window_is_not_extended_by_repetition(session: Session, directory: Directories) -> None:
    before = await session.turn()
    assert (await session.refresh(before)).status_code == 200
    await expire_window(directory, session)
    assert (await session.refresh(before)).status_code == 400


async def test_r11_a_used_successor_closes_the_window(session: Session) -> None:
    before = await session.turn()
    await session.turn()
    assert (await session.refresh(before)).status_code == 400


async def test_r9_another_client_is_refused_and_changes_nothing(
    session: Session, http: httpx.AsyncClient, directory: Directories
) -> None:
    thief = await builders.client(directory, **GRANTS)
    form = {"grant_type": "refresh_token", "refresh_token": session.refresh_token}
    answer = await http.post("/token", data=form, auth=thief.auth)
    assert answer.json()["error"] == "invalid_grant"
    await session.turn()


@pytest.mark.parametrize("change", ["last character", "family", "cut", "longer", "garbage", "not ascii"])
async def test_what_we_did_not_make_ends_nothing(session: Session, change: str) -> None:
    token = session.refresh_token
    forged = {
        "last character": token[:-1] + ("A" if token[-1] != "A" else "Q"),
        "family": "A" + token[1:],
        "cut": token[:-4],
        "longer": token + "AAAA",
        "garbage": "garbage",
        "not ascii": "gärbage",
    }[change]
    assert (await session.refresh(forged)).json()["error"] == "invalid_grant"
    await session.turn()


class TestScope:
    async def test_r12_narrower_affects_that_access_token_only(self, session: Session) -> None:
        narrow = await session.refresh(scope="read")
        assert narrow.json()["scope"] == "read"
        session.refresh_token = narrow.json()["refresh_token"]
        assert (await session.refresh()).json()["scope"] == "read write"

    async def test_r12_wider_is_refused_and_spends_nothing(self, session: Session) -> None:
        assert (await session.refresh(scope="read admin")).json()["error"] == "invalid_scope"
        assert (await session.refresh(resource="https://other.example")).json()["error"] == "invalid_target"
        await session.turn()

    async def test_r12_what_the_client_lost_is_not_refreshed(self, session: Session, directory: Directories) -> None:
        await directory.clients.update(replace(session.client.client, scopes=("read",)), OPERATOR)
        await asyncio.sleep(1.1)  # the bound of the client cache
        assert (await session.refresh()).json()["scope"] == "read"


class TestConsequences:
    """S3: what ends a person's or client's standing ends its families."""

    async def test_disabling(self, session: Session, directory: Directories) -> None:
        await directory.people.set_active(session.user_id, False, OPERATOR)
        await directory.people.set_active(session.user_id, True, OPERATOR)
        assert (await session.refresh()).status_code == 400

    async def test_a_new_password(self, session: Session, directory: Directories) -> None:
        user = await directory.store.users.by_id(session.user_id)
        assert user is not None
        await directory.people.set_password(user, "another good passphrase", OPERATOR)
        assert (await session.refresh()).status_code == 400

    async def test_removing_the_client(self, session: Session, directory: Directories) -> None:
        await directory.clients.remove(session.client.client.client_id, OPERATOR)
        rows = await directory.store.executor.fetch_all(
            "select from refresh_families where user_id = $1", session.user_id
        )
        assert rows == []

    async def test_taking_the_grant_away(self, session: Session, directory: Directories) -> None:
        without = replace(session.client.client, grant_types=frozenset({"password"}))
        await directory.clients.update(without, OPERATOR)
        await directory.clients.update(session.client.client, OPERATOR)
        assert (await session.refresh()).status_code == 400


async def test_races_leave_one_living_leaf(http: httpx.AsyncClient, directory: Directories) -> None:
    """Many requests with the same token: no 5xx, and all who are answered hold the same successor."""
    for _ in range(10):
        session = await log_in(http, directory)
        answers = await asyncio.gather(*(session.refresh() for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        (successor,) = {answer.json()["refresh_token"] for answer in answers}
        session.refresh_token = successor
        await session.turn()


async def test_the_family_is_one_row(session: Session, directory: Directories, service: Service) -> None:
    for _ in range(5):
        await session.turn()
    rows = await directory.store.executor.fetch_all("select from refresh_families where user_id = $1", session.user_id)
    assert len(rows) == 1
