"""Refresh tokens over HTTP: rotation, repetition, replay (R9, R11, R12)."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from idp.cli.directories import Directories
from idp.directory.client_cache import FRESH
from idp.protocol.audit import OPERATOR
from idp.protocol.client import ADMIN_SCOPE
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import claims
from tests.refresh.sessions import GRANTS, Session, log_in

ONE, TWO = "https://one.example.com", "https://two.example.com"
WIDER = [{"scope": "read write"}, {"scope": "read admin"}, {"resource": TWO}, {"resource": "https://other.example"}]


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
        "family": ("A" if token[0] != "A" else "B") + token[1:],
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

    async def test_r12_a_narrower_resource_likewise(self, http: httpx.AsyncClient, directory: Directories) -> None:
        session = await log_in(http, directory, form={"resource": [ONE, TWO]}, audiences=(ONE, TWO))
        narrow = (await session.refresh(resource=TWO)).json()
        assert claims(narrow["access_token"])["aud"] == TWO
        session.refresh_token = narrow["refresh_token"]
        assert claims((await session.refresh()).json()["access_token"])["aud"] == [ONE, TWO]

    @pytest.mark.parametrize("asked", WIDER, ids=str)
    async def test_r12_wider_is_refused_and_spends_nothing(
        self, http: httpx.AsyncClient, directory: Directories, asked: dict[str, str]
    ) -> None:
        """Whether it is registered for the client or not."""
        session = await log_in(http, directory, form={"scope": "read", "resource": ONE}, audiences=(ONE, TWO))
        refused = await session.refresh(**asked)
        assert refused.json()["error"] == ("invalid_scope" if "scope" in asked else "invalid_target")
        await session.turn()

    @pytest.mark.parametrize("asked", WIDER, ids=str)
    async def test_r12_a_repeated_token_is_not_wider_either(
        self, http: httpx.AsyncClient, directory: Directories, asked: dict[str, str]
    ) -> None:
        session = await log_in(http, directory, form={"scope": "read", "resource": ONE}, audiences=(ONE, TWO))
        before = await session.turn()
        refused = await session.refresh(before, **asked)
        assert refused.json()["error"] == ("invalid_scope" if "scope" in asked else "invalid_target")
        assert (await session.refresh(before)).status_code == 200
        await session.turn()

    async def test_r12_what_the_client_lost_is_not_refreshed(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        session = await log_in(http, directory, form={"resource": [ONE, TWO]}, audiences=(ONE, TWO))
        fewer = replace(session.client.client, scopes=("read",), audiences=(TWO,))
        await directory.clients.update(fewer, OPERATOR)
        await asyncio.sleep(FRESH + 0.1)
        asked = await session.refresh(scope="write")
        assert asked.json()["error"] == "invalid_scope"
        left = (await session.refresh()).json()
        assert left["scope"] == "read"
        assert claims(left["access_token"])["aud"] == TWO
        await directory.clients.update(replace(fewer, audiences=()), OPERATOR)
        await asyncio.sleep(FRESH + 0.1)
        session.refresh_token = left["refresh_token"]
        assert (await session.refresh()).json()["error"] == "invalid_target"

    async def test_r15_who_is_no_administrator_any_more_gets_no_token_for_it(
        self, http: httpx.AsyncClient, directory: Directories
    ) -> None:
        scopes = ("read", ADMIN_SCOPE)
        session = await log_in(http, directory, form={"scope": " ".join(scopes)}, roles=("admin",), scopes=scopes)
        first = (await session.refresh()).json()
        assert first["scope"] == f"read {ADMIN_SCOPE}"
        session.refresh_token = first["refresh_token"]
        await directory.people.set_roles(session.user_id, (), OPERATOR)
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


async def test_a_login_at_a_client_that_is_gone_or_lost_the_grant_begins_nothing(
    session: Session, directory: Directories
) -> None:
    """Instances know their clients for a second longer."""
    client = session.client
    await directory.clients.update(replace(client.client, grant_types=frozenset({"password"})), OPERATOR)
    answers = [await session.log_in_again()]
    await directory.clients.remove(client.client.client_id, OPERATOR)
    answers.append(await session.log_in_again())
    for answer in answers:
        assert answer.status_code in (200, 400, 401), answer.text  # 200 and 401: the instance had looked again
        assert "refresh_token" not in answer.json()


async def test_the_family_is_one_row(session: Session, directory: Directories) -> None:
    for _ in range(5):
        await session.turn()
    rows = await directory.store.executor.fetch_all("select from refresh_families where user_id = $1", session.user_id)
    assert len(rows) == 1
