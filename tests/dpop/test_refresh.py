"""Refresh tokens that are bound to a key, over HTTP (RFC 9449 §5). What a thief can do: tests/refresh/test_thief.py."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.contract.asking import claims
from tests.dpop.proving import Prover, new_key
from tests.refresh.sessions import GRANTS
from tests.service import Service

PUBLIC = GRANTS | {"token_endpoint_auth_method": "none"}


@dataclass
class Session:
    """Somebody at a client that proves a key."""

    prover: Prover
    client: ConfidentialClient
    refresh_token: str

    @property
    def request(self) -> dict[str, Any]:
        """How the client says who it is and what it wants."""
        client_id, public = self.client.client.client_id, self.client.client.is_public
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        return {"data": form | {"client_id": client_id}} if public else {"data": form, "auth": self.client.auth}

    async def refresh(self, prover: Prover | None = None) -> httpx.Response:
        return await (prover or self.prover).send(**self.request)

    async def unproved(self, *proofs: str) -> httpx.Response:
        headers = [("DPoP", proof) for proof in proofs]
        return await self.prover.http.post("/token", headers=headers, **self.request)

    async def turn(self) -> dict[str, Any]:
        """Refreshes, and gives the claims of the new access token."""
        answer = await self.refresh()
        assert answer.status_code == 200, answer.text
        self.refresh_token = answer.json()["refresh_token"]
        return claims(answer.json()["access_token"])


@pytest.fixture
def prover(http: httpx.AsyncClient, service: Service) -> Prover:
    return Prover(http, service.url)


async def log_in(prover: Prover, directory: Directories, **metadata: object) -> Session:
    client, user = await builders.client(directory, **metadata), await builders.user(directory)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    session = Session(prover, client, "")
    request = session.request | {"data": form | {"client_id": client.client.client_id}}
    answer = await prover.send(**request)
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    session.refresh_token = answer.json()["refresh_token"]
    return session


def another(prover: Prover) -> Prover:
    return Prover(prover.http, prover.issuer, new_key(), prover.nonce)


def assert_refused(answer: httpx.Response, error: str = "invalid_grant") -> None:
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text


async def test_a_public_clients_is_bound(prover: Prover, directory: Directories) -> None:
    session = await log_in(prover, directory, **PUBLIC)
    for _ in range(3):
        assert (await session.turn())["cnf"] == {"jkt": prover.jkt}
        assert_refused(await session.unproved())
        assert_refused(await session.refresh(another(prover)))
    events = await directory.store.audit.page(event="refresh.refused", subject=session.client.client.client_id)
    assert len(events) == 6


async def test_a_lost_answer_is_asked_for_again_with_another_proof(prover: Prover, directory: Directories) -> None:
    session = await log_in(prover, directory, **PUBLIC)
    lost, again = await session.refresh(), await session.refresh()
    assert again.json()["refresh_token"] == lost.json()["refresh_token"]
    await session.turn()
    await session.turn()


async def test_a_proof_that_comes_again_ends_nothing(prover: Prover, directory: Directories) -> None:
    """The whole request was overheard: within the window, after the successor was used, and long after."""
    session = await log_in(prover, directory, **PUBLIC)
    first, proof = session.refresh_token, prover.proof()
    answer = await session.unproved(proof)
    assert answer.status_code == 200
    successor = answer.json()["refresh_token"]
    assert_refused(await session.unproved(proof), "invalid_dpop_proof")
    session.refresh_token = successor
    await session.turn()
    current, session.refresh_token = session.refresh_token, first
    assert_refused(await session.unproved(proof), "invalid_dpop_proof")
    session.refresh_token = current
    await session.turn()


async def test_many_at_once_get_one_successor(prover: Prover, directory: Directories) -> None:
    session = await log_in(prover, directory, **PUBLIC)
    answers = await asyncio.gather(*(session.unproved(prover.proof()) for _ in range(10)))
    (session.refresh_token,) = {answer.json()["refresh_token"] for answer in answers}
    await session.turn()


async def test_wanting_a_nonce_spends_nothing(prover: Prover, directory: Directories) -> None:
    session = await log_in(prover, directory, **PUBLIC)
    assert_refused(await session.unproved(prover.proof(nonce=...)), "use_dpop_nonce")
    await session.turn()


async def test_a_confidential_clients_is_not(prover: Prover, directory: Directories) -> None:
    """Its credentials bind it (§5). The access token is bound to whichever key is proved now, or to none."""
    session = await log_in(prover, directory, **GRANTS)
    session.prover = another(prover)
    assert (await session.turn())["cnf"] == {"jkt": session.prover.jkt}
    answer = await session.unproved()
    assert answer.json()["token_type"] == "Bearer"


async def test_one_that_began_without_a_key_goes_on_without(prover: Prover, directory: Directories) -> None:
    client, user = await builders.client(directory, **PUBLIC), await builders.user(directory)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    answer = await prover.http.post("/token", data=form | {"client_id": client.client.client_id})
    session = Session(prover, client, answer.json()["refresh_token"])
    assert (await session.turn())["cnf"] == {"jkt": prover.jkt}
    assert (await session.unproved()).json()["token_type"] == "Bearer"


async def test_a_thief_with_a_key_does_not_take_over_one_that_began_without(
    prover: Prover, directory: Directories
) -> None:
    """Were the family bound to the first key that is proved, its owner's attempt would end nothing any more."""
    client, user = await builders.client(directory, **PUBLIC), await builders.user(directory)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    answer = await prover.http.post("/token", data=form | {"client_id": client.client.client_id})
    owner = Session(prover, client, answer.json()["refresh_token"])
    thief = Session(another(prover), client, owner.refresh_token)
    for _ in range(2):
        await thief.turn()
    assert_refused(await owner.unproved())
    assert_refused(await thief.refresh())


async def test_a_client_that_must_prove_is_not_refreshed_without(prover: Prover, directory: Directories) -> None:
    for metadata in (PUBLIC, GRANTS):
        session = await log_in(prover, directory, **metadata, dpop_bound_access_tokens=True)
        assert_refused(await session.unproved(), "invalid_dpop_proof")
        await session.turn()
