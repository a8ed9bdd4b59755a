"""`POST /revoke` (RFC 7009) and `POST /introspect` (RFC 7662)."""

import time
from uuid import uuid4

import httpx
import pytest

from idp.cli.directories import Directories
from idp.directory.issued_tokens import IssuedTokens
from idp.protocol.audit import OPERATOR
from idp_verifier import Claims
from keys.keyring import Keyring
from keys.signer import SignerThread
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.refresh.beginning import SEALER
from tests.refresh.sessions import Session, log_in
from tests.service import Service


@pytest.fixture
async def session(http: httpx.AsyncClient, directory: Directories) -> Session:
    return await log_in(http, directory)


@pytest.fixture
async def asker(directory: Directories) -> ConfidentialClient:
    """A resource service that may introspect, and that no token is for."""
    return await builders.client(directory, may_introspect=True, audiences=("https://api.example.com",))


async def revoke(session: Session, token: str, client: ConfidentialClient | None = None) -> httpx.Response:
    return await session.http.post("/revoke", data={"token": token}, auth=(client or session.client).auth)


async def introspect(http: httpx.AsyncClient, client: ConfidentialClient, token: str) -> dict[str, object]:
    answer = await http.post("/introspect", data={"token": token}, auth=client.auth)
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


async def test_a_revoked_refresh_token_ends_its_family_and_the_access_tokens_of_it(session: Session) -> None:
    access_token = (await session.refresh()).json()["access_token"]
    me = {"authorization": f"Bearer {access_token}"}
    assert (await session.http.get("/users/me", headers=me)).status_code == 200
    assert (await revoke(session, session.refresh_token)).status_code == 200
    assert (await session.refresh()).status_code == 400
    assert (await session.http.get("/users/me", headers=me)).status_code == 401


async def test_any_token_of_a_family_ends_it(session: Session) -> None:
    first = await session.turn()
    await session.turn()
    assert (await revoke(session, first)).status_code == 200
    assert (await session.refresh()).status_code == 400


async def test_a_family_is_revoked_once(session: Session, directory: Directories) -> None:
    for _ in range(3):
        assert (await revoke(session, session.refresh_token)).status_code == 200
    events = await directory.store.audit.page(subject=str(session.user_id), event="refresh.revoked")
    assert len(events) == 1


async def test_a_family_that_is_none_of_ours_is_not_known_to_be_good(directory: Directories, service: Service) -> None:
    """A predecessor whose keys were imported may have used the claim in its own way."""
    keyring = Keyring(SEALER, SignerThread(), service.settings.keyring_bounds)
    tokens = IssuedTokens("https://id.example.com", keyring, time.time, directory.store.revoked_tokens)
    for family in ("abc", "", 7, ["x"], str(uuid4())):
        assert await tokens.is_revoked(Claims({"jti": "a", "family_id": family}))
    assert not await tokens.is_revoked(Claims({"jti": "a"}))


async def test_a_revoked_access_token_ends_alone(session: Session) -> None:
    first = (await session.refresh()).json()
    session.refresh_token = first["refresh_token"]
    assert (await revoke(session, first["access_token"])).status_code == 200
    me = {"authorization": f"Bearer {first['access_token']}"}
    assert (await session.http.get("/users/me", headers=me)).status_code == 401
    await session.turn()


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
async def test_r9_only_by_its_own_client(session: Session, directory: Directories, kind: str) -> None:
    tokens = (await session.refresh()).json()
    session.refresh_token = tokens["refresh_token"]
    stranger = await builders.client(directory)
    answer = await revoke(session, tokens[kind], stranger)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    await session.turn()


@pytest.mark.parametrize("token", ["unknown", "a.b.c", "x" * 5000])
async def test_what_is_none_of_ours_counts_as_revoked(session: Session, token: str) -> None:
    assert (await revoke(session, token)).status_code == 200


async def test_a_token_must_be_named(session: Session) -> None:
    answer = await session.http.post("/revoke", data={}, auth=session.client.auth)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_r13_both_need_an_authenticated_client(session: Session) -> None:
    for path in ("/revoke", "/introspect"):
        answer = await session.http.post(path, data={"token": "x"}, auth=(session.client.client.client_id, "wrong"))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


class TestIntrospection:
    async def test_of_a_good_access_token(self, http: httpx.AsyncClient, directory: Directories) -> None:
        client = await builders.client(directory, may_introspect=True, scopes=("read",))
        token = (await http.post("/token", data={"grant_type": "client_credentials"}, auth=client.auth)).json()
        told = await introspect(http, client, token["access_token"])
        assert told["active"] is True
        assert told["scope"] == "read"
        assert told["client_id"] == told["sub"] == client.client.client_id

    async def test_only_for_clients_that_may(self, session: Session) -> None:
        answer = await session.http.post("/introspect", data={"token": "x"}, auth=session.client.auth)
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")

    async def test_of_a_token_for_another_audience_is_inactive(
        self, session: Session, asker: ConfidentialClient
    ) -> None:
        token = (await session.refresh()).json()["access_token"]
        assert await introspect(session.http, asker, token) == {"active": False}

    async def test_of_a_token_for_the_asking_service(
        self, http: httpx.AsyncClient, directory: Directories, asker: ConfidentialClient
    ) -> None:
        session = await log_in(http, directory, audiences=("https://api.example.com",))
        tokens = (await session.refresh()).json()
        session.refresh_token = tokens["refresh_token"]
        assert (await introspect(http, asker, tokens["access_token"]))["active"] is True
        await revoke(session, session.refresh_token)
        assert await introspect(http, asker, tokens["access_token"]) == {"active": False}

    async def test_of_a_disabled_persons_token(
        self, http: httpx.AsyncClient, directory: Directories, asker: ConfidentialClient
    ) -> None:
        client = await builders.client(
            directory, grant_types=frozenset({"password"}), audiences=("https://api.example.com",)
        )
        user = await builders.user(directory)
        form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
        token = (await http.post("/token", data=form, auth=client.auth)).json()["access_token"]
        assert (await introspect(http, asker, token))["active"] is True
        await directory.people.set_active(user.id, False, OPERATOR)
        assert await introspect(http, asker, token) == {"active": False}

    async def test_of_a_refresh_token(self, http: httpx.AsyncClient, directory: Directories) -> None:
        session = await log_in(http, directory, may_introspect=True)
        assert (await introspect(http, session.client, session.refresh_token))["active"] is True
        before = await session.turn()
        assert await introspect(http, session.client, before) == {"active": False}
        await revoke(session, session.refresh_token)
        assert await introspect(http, session.client, session.refresh_token) == {"active": False}

    @pytest.mark.parametrize("token", ["unknown", "a.b.c", "x" * 5000])
    async def test_of_what_is_none_of_ours(
        self, http: httpx.AsyncClient, asker: ConfidentialClient, token: str
    ) -> None:
        assert await introspect(http, asker, token) == {"active": False}
