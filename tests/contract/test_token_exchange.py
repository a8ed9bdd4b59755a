"""Token exchange (RFC 8693): an API calls the next one for the same subject."""

from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from idp.directory.clients import InvalidClientMetadata
from idp.protocol.audit import OPERATOR
from idp.protocol.token_exchange import ACCESS_TOKEN, MOST_ACTORS, TOKEN_EXCHANGE, TOKEN_TYPES
from tests import builders
from tests.contract.asking import bearer, claims, token
from tests.contract.exchanging import BILLING, EXCHANGING, ORDERS, STOCK, Shop, api, shop
from tests.contract.test_token_errors import assert_refused
from tests.service import Service


@pytest.fixture
async def at(http: httpx.AsyncClient, directory: Directories) -> Shop:
    return await shop(http, directory)


class TestAnswer:
    """The members of the answer (§2.2.1) and of the token, exactly."""

    async def test_answer(self, at: Shop) -> None:
        answer = await at.exchange(await at.subject_token())
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        found = claims(body.pop("access_token"))
        assert body == {
            "token_type": "Bearer",
            "expires_in": found["exp"] - found["iat"],
            "issued_token_type": ACCESS_TOKEN,
            "scope": "read",
        }

    async def test_token(self, at: Shop, service: Service) -> None:
        subject_token = await at.subject_token()
        subject, found = claims(subject_token), await at.exchanged(subject_token)
        assert found["jti"] != subject["jti"]
        assert found["exp"] <= subject["exp"]
        assert found == {
            "iss": service.url,
            "sub": str(at.user.id),
            "aud": STOCK,
            "exp": found["exp"],
            "iat": found["iat"],
            "jti": found["jti"],
            "client_id": at.orders.client.client_id,
            "scope": "read",
            "auth_time": subject["auth_time"],
            "amr": ["pwd"],
            "username": at.user.username,
            "roles": ["editor", "admin"],
            "family_id": subject["family_id"],
            "act": {"sub": at.orders.client.client_id},
        }

    @pytest.mark.parametrize("requested", TOKEN_TYPES)
    async def test_what_was_requested_is_what_is_issued(self, at: Shop, requested: str) -> None:
        answer = await at.exchange(await at.subject_token(), requested_token_type=requested)
        assert answer.json()["issued_token_type"] == requested

    async def test_a_jwt_is_what_an_access_token_of_ours_is(self, at: Shop) -> None:
        assert await at.exchanged(await at.subject_token(), subject_token_type=TOKEN_TYPES[1])

    async def test_a_machines_token(self, at: Shop, directory: Directories) -> None:
        robot = await builders.client(directory, scopes=("read",), audiences=(ORDERS,))
        found = await at.exchanged(await token(at.http, robot))
        orders = at.orders.client.client_id
        assert (found["sub"], found["client_id"], found["act"]) == (robot.client.client_id, orders, {"sub": orders})
        assert not found.keys() & {"auth_time", "amr", "username", "roles", "family_id"}

    async def test_the_person_is_as_they_are_now(self, at: Shop, directory: Directories) -> None:
        subject_token = await at.subject_token()
        await directory.people.set_roles(at.user.id, ("reader",), OPERATOR)
        assert (await at.exchanged(subject_token))["roles"] == ["reader"]

    async def test_metadata_lists_it(self, http: httpx.AsyncClient) -> None:
        document = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert TOKEN_EXCHANGE in document["grant_types_supported"]


class TestAudience:
    """`audience` and `resource` (§2.1) name whom the client may call."""

    @pytest.mark.parametrize(
        ("form", "aud"),
        [
            ({}, STOCK),
            ({"audience": BILLING}, BILLING),
            ({"resource": BILLING}, BILLING),
            ({"audience": BILLING, "resource": STOCK}, [STOCK, BILLING]),
            ({"audience": [BILLING, STOCK, BILLING]}, [BILLING, STOCK]),
        ],
    )
    async def test_granted(
        self, http: httpx.AsyncClient, directory: Directories, form: dict[str, str | list[str]], aud: Any
    ) -> None:
        at = await shop(http, directory, audiences=(STOCK, BILLING))
        assert (await at.exchanged(await at.subject_token(), **form))["aud"] == aud

    @pytest.mark.parametrize("name", ["audience", "resource"])
    async def test_one_that_is_not_on_the_list(self, at: Shop, name: str) -> None:
        subject_token = await at.subject_token()
        for target in (BILLING, ORDERS, at.orders.client.client_id):
            assert_refused(await at.exchange(subject_token, **{name: [STOCK, target]}), 400, "invalid_target")

    async def test_the_issuer_only_if_it_is_on_the_list(
        self, http: httpx.AsyncClient, directory: Directories, service: Service
    ) -> None:
        """What was sent to an API is no leave to read the person's record with us."""
        at = await shop(http, directory)
        subject_token = await at.subject_token()
        assert_refused(await at.exchange(subject_token, audience=service.url), 400, "invalid_target")
        reader = await api(directory, ORDERS, service.url)
        ours = await at.exchanged_token(subject_token, reader)
        assert (await http.get("/users/me", headers=bearer(ours))).json()["id"] == str(at.user.id)

    async def test_a_client_without_audiences_calls_nobody(self, at: Shop, directory: Directories) -> None:
        silent = await api(directory, ORDERS)
        assert_refused(await at.exchange(await at.subject_token(), silent), 400, "invalid_target")


class TestActors:
    """Delegation and impersonation (§1.1, §4.1)."""

    async def test_each_exchange_names_its_client_on_top(self, at: Shop, directory: Directories) -> None:
        stock = await api(directory, STOCK, BILLING)
        found = await at.exchanged(await at.exchanged_token(await at.subject_token()), stock)
        assert found["sub"] == str(at.user.id)
        assert found["act"] == {"sub": stock.client.client_id, "act": {"sub": at.orders.client.client_id}}

    async def test_apis_that_call_each_other_come_to_an_end(self, at: Shop, directory: Directories) -> None:
        echo = await api(directory, ORDERS, ORDERS)
        subject_token = await at.subject_token()
        for _ in range(MOST_ACTORS):
            subject_token = await at.exchanged_token(subject_token, echo)
        assert_refused(await at.exchange(subject_token, echo), 400, "invalid_request")

    async def test_impersonation_adds_nobody_and_hides_nobody(self, at: Shop, directory: Directories) -> None:
        quiet = await api(directory, ORDERS, STOCK, may_impersonate=True)
        assert "act" not in await at.exchanged(await at.subject_token(), quiet)
        stock = await api(directory, STOCK, BILLING, may_impersonate=True)
        found = await at.exchanged(await at.exchanged_token(await at.subject_token()), stock)
        assert found["act"] == {"sub": at.orders.client.client_id}
        assert found["client_id"] == stock.client.client_id

    async def test_whoever_introspects_sees_them(self, at: Shop, directory: Directories) -> None:
        stock = await api(directory, STOCK, may_introspect=True)
        subject_token = await at.exchanged_token(await at.subject_token())
        told = (await at.http.post("/introspect", data={"token": subject_token}, auth=stock.auth)).json()
        assert (told["active"], told["act"]) == (True, {"sub": at.orders.client.client_id})


class TestEnds:
    """What ends a token that was exchanged."""

    async def test_the_family_of_the_login(self, at: Shop, directory: Directories) -> None:
        login = await at.logged_in()
        exchanged = await at.exchanged_token(login["access_token"])
        await at.http.post("/revoke", data={"token": login["refresh_token"]}, auth=at.web.auth)
        stock = await api(directory, STOCK, BILLING, may_introspect=True)
        told = await at.http.post("/introspect", data={"token": exchanged}, auth=stock.auth)
        assert told.json() == {"active": False}
        assert_refused(await at.exchange(exchanged, stock), 400, "invalid_request")

    async def test_its_own_client_may_revoke_it_alone(self, at: Shop, directory: Directories) -> None:
        subject_token = await at.subject_token()
        exchanged = await at.exchanged_token(subject_token)
        revoked = await at.http.post("/revoke", data={"token": exchanged}, auth=at.orders.auth)
        assert revoked.status_code == 200
        assert_refused(await at.exchange(exchanged, await api(directory, STOCK, BILLING)), 400, "invalid_request")
        assert await at.exchanged(subject_token)


class TestRefused:
    """Requests that are malformed, and clients that may not (§2.2.2)."""

    @pytest.mark.parametrize("missing", ["subject_token", "subject_token_type"])
    async def test_parameter_missing(self, at: Shop, missing: str) -> None:
        assert_refused(await at.exchange(await at.subject_token(), **{missing: ""}), 400, "invalid_request")

    @pytest.mark.parametrize(
        "form",
        [
            {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
            {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
            {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
        ],
    )
    async def test_what_is_not_done_here(self, at: Shop, form: dict[str, str | list[str]]) -> None:
        assert_refused(await at.exchange(await at.subject_token(), **form), 400, "invalid_request")

    async def test_r10_a_client_that_is_not_registered_for_it(self, at: Shop, directory: Directories) -> None:
        grants = frozenset({"client_credentials"})
        other = await api(directory, ORDERS, STOCK, grant_types=grants)
        assert_refused(await at.exchange(await at.subject_token(), other), 400, "unauthorized_client")

    async def test_r13_a_public_client(self, at: Shop, directory: Directories) -> None:
        """Neither can it be registered for it, nor, if it were, use it."""
        public: dict[str, Any] = {"token_endpoint_auth_method": "none", "grant_types": frozenset({TOKEN_EXCHANGE})}
        with pytest.raises(InvalidClientMetadata, match="token exchange"):
            await api(directory, ORDERS, STOCK, **public)
        client = await api(directory, ORDERS, STOCK, **public | {"grant_types": frozenset({"password"})})
        await directory.store.executor.execute(
            "update clients set grant_types = $1 where client_id = $2", [TOKEN_EXCHANGE], client.client.client_id
        )
        form = {"grant_type": TOKEN_EXCHANGE, "client_id": client.client.client_id, "subject_token_type": ACCESS_TOKEN}
        answer = await at.http.post("/token", data=form | {"subject_token": await at.subject_token()})
        assert_refused(answer, 400, "unauthorized_client")

    async def test_a_resource_id_is_a_uri(self, directory: Directories) -> None:
        with pytest.raises(InvalidClientMetadata, match="resource id"):
            await builders.client(directory, **EXCHANGING | {"resource_ids": ("orders",)})
