"""What is revoked at the issuer is refused by a verifier that never asks about it, within the stated time."""

from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from idp.protocol.status import LIST_TTL
from idp_verifier import StatusUnavailable
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.contract.asking import claims, token
from tests.contract.exchanging import api
from tests.dpop.proving import Prover
from tests.refresh.sessions import Session, log_in
from tests.refresh.test_ends import ENDS
from tests.service import Service
from tests.status.conftest import AUDIENCE, STATED, Resource, now, pass_time

MACHINE: dict[str, Any] = {"audiences": (AUDIENCE,)}
PERSON: dict[str, Any] = {"audiences": (AUDIENCE,), "grant_types": frozenset({"password", "refresh_token"})}
WITHOUT_REFRESH: dict[str, Any] = {"audiences": (AUDIENCE,), "grant_types": frozenset({"password"})}


async def revoke(http: httpx.AsyncClient, client: ConfidentialClient, token: str) -> None:
    answer = await http.post("/revoke", data={"token": token}, auth=client.auth)
    assert answer.status_code == 200, answer.text


def access_token(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def session_of(http: httpx.AsyncClient, directory: Directories) -> tuple[Session, list[str]]:
    """Somebody logged in, and two access tokens that go with it: that of the last login, and that of a refresh."""
    session = await log_in(http, directory, **PERSON)
    answer = await session.log_in_again()
    session.refresh_token = answer.json()["refresh_token"]
    refreshed = await session.refresh()
    tokens = [access_token(answer), access_token(refreshed)]
    session.refresh_token = refreshed.json()["refresh_token"]
    return session, tokens


async def log_in_without_refresh(
    http: httpx.AsyncClient, directory: Directories
) -> tuple[ConfidentialClient, Any, str]:
    made, user = await builders.client(directory, **WITHOUT_REFRESH), await builders.user(directory)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    answer = await http.post("/token", data=form, auth=made.auth)
    assert "refresh_token" not in answer.json()
    return made, user, access_token(answer)


async def test_a_token_that_its_client_gives_back(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource
) -> None:
    machine = await builders.client(at_issuer, **MACHINE)
    given_back, kept = await token(client, machine), await token(client, machine)
    assert await resource.accepts(given_back, kept)
    await revoke(client, machine, given_back)
    pass_time(STATED)
    assert not await resource.accepts(given_back)
    assert await resource.accepts(kept)


async def test_no_verifier_asks_more_often_than_stated(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource
) -> None:
    """So nobody has to ask at all, and the issuer may be away meanwhile."""
    machine = await builders.client(at_issuer, **MACHINE)
    given_back = await token(client, machine)
    pass_time(LIST_TTL)  # the list that others have asked for is made anew
    assert await resource.accepts(given_back)
    await revoke(client, machine, given_back)
    assert await resource.accepts(given_back)


@pytest.mark.parametrize("name", ENDS)
async def test_whatever_ends_a_family(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource, name: str
) -> None:
    session, tokens = await session_of(client, at_issuer)
    _, others = await session_of(client, at_issuer)
    user = await at_issuer.store.users.by_id(session.user_id)
    assert user
    assert await resource.accepts(*tokens, *others)
    end, _ = ENDS[name]
    await end(at_issuer, session.client, user)
    pass_time(STATED)
    assert not await resource.accepts(*tokens)
    assert await resource.accepts(*others)


async def test_a_replay_and_a_logout(client: httpx.AsyncClient, at_issuer: Directories, resource: Resource) -> None:
    session, tokens = await session_of(client, at_issuer)
    ancestor = await session.turn()
    await session.turn()
    out, of_out = await session_of(client, at_issuer)
    assert await resource.accepts(*tokens, *of_out)
    assert (await session.refresh(ancestor)).status_code == 400
    await revoke(client, out.client, out.refresh_token)
    pass_time(STATED)
    assert not await resource.accepts(*tokens, *of_out)


async def test_a_repeated_refresh_gives_a_token_that_ends_too(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource
) -> None:
    session, _ = await session_of(client, at_issuer)
    lost, again = await session.refresh(), await session.refresh()
    tokens = [access_token(lost), access_token(again)]
    assert await resource.accepts(*tokens)
    await revoke(client, session.client, session.refresh_token)
    pass_time(STATED)
    assert not await resource.accepts(*tokens)


@pytest.mark.parametrize("name", ["disabling", "a new password", "removing the client"])
async def test_a_login_without_refresh_tokens(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource, name: str
) -> None:
    made, user, of_login = await log_in_without_refresh(client, at_issuer)
    assert await resource.accepts(of_login)
    end, _ = ENDS[name]
    await end(at_issuer, made, user)
    pass_time(STATED)
    assert not await resource.accepts(of_login)


async def test_a_login_without_refresh_tokens_does_not_end_with_a_change_of_its_client(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource
) -> None:
    made, _, of_login = await log_in_without_refresh(client, at_issuer)
    await at_issuer.clients.update(made.client, OPERATOR)
    pass_time(STATED)
    assert await resource.accepts(of_login)


async def test_what_a_token_was_exchanged_for(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource
) -> None:
    """It has an index of its own, and ends with the login; given back, it ends alone."""
    session, (subject_token, _) = await session_of(client, at_issuer)
    orders = await api(at_issuer, AUDIENCE, AUDIENCE)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": subject_token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    exchanged, given_back = [access_token(await client.post("/token", data=form, auth=orders.auth)) for _ in range(2)]
    assert await resource.accepts(subject_token, exchanged, given_back)
    await revoke(client, orders, given_back)
    pass_time(STATED)
    assert not await resource.accepts(given_back)
    assert await resource.accepts(subject_token, exchanged)
    await revoke(client, session.client, session.refresh_token)
    pass_time(STATED)
    assert not await resource.accepts(subject_token, exchanged)


async def test_a_token_that_is_bound_to_a_key_has_a_status_too(
    client: httpx.AsyncClient, at_issuer: Directories, issuer: Service
) -> None:
    machine = await builders.client(at_issuer, **MACHINE)
    prover, form = Prover(client, issuer.url), {"grant_type": "client_credentials"}
    for _ in ("without the server's nonce", "with it"):
        proof = {"DPoP": prover.proof(iat=int(now()))}
        answer = await client.post("/token", data=form, headers=proof, auth=machine.auth)
        prover.nonce = answer.headers.get("DPoP-Nonce")
    found = claims(access_token(answer))
    assert {"cnf", "status"} <= found.keys()


async def test_a_status_is_of_one_token_alone(client: httpx.AsyncClient, at_issuer: Directories) -> None:
    machine = await builders.client(at_issuer, **MACHINE)
    found = [claims(await token(client, machine)) for _ in range(20)]
    places = [(one["status"]["status_list"]["uri"], one["status"]["status_list"]["idx"]) for one in found]
    assert len(set(places)) == len(places)
    assert all(one["status"].keys() == {"status_list"} for one in found)


async def test_a_list_outlives_the_tokens_that_it_is_about(
    client: httpx.AsyncClient, at_issuer: Directories, issuer: Service, resource: Resource
) -> None:
    """Through an outage of the issuer a good token is good to its end."""
    machine = await builders.client(at_issuer, **MACHINE)
    listed = await client.get("/status/0")
    verified = await token(client, machine)
    await resource.accepts(verified)
    assert claims(listed.text)["exp"] >= claims(verified)["exp"] + LIST_TTL - 1
    assert issuer.settings.rotation_policy.retention >= issuer.settings.status_list_lifetime


async def test_a_list_that_is_not_there_opens_nothing(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource
) -> None:
    machine = await builders.client(at_issuer, **MACHINE)
    good = await token(client, machine)
    await at_issuer.store.executor.execute("update status_lists set id = id + 1000")
    try:
        pass_time(LIST_TTL)
        with pytest.raises(StatusUnavailable):
            await resource.verifier.verify(good)
    finally:
        await at_issuer.store.executor.execute("update status_lists set id = id - 1000")
