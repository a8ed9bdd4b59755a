"""R15 in token exchange: no API gets at what was sent to another, and nothing grows on the way (RFC 8693 §5)."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.token_exchange import TOKEN_EXCHANGE
from tests import builders
from tests.builders import ConfidentialClient
from tests.contract.asking import bearer, claims, header, token, token_of
from tests.contract.exchanging import BILLING, ORDERS, STOCK, Shop, api, shop
from tests.contract.test_token_errors import assert_refused
from tests.security.forging import issuers_key_of, signed
from tests.service import Service

NOBODY = "0b0e7cb4-7a39-4c6f-9c0c-0d3b4a0f7a11"
ATTACKER = rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def at(http: httpx.AsyncClient, directory: Directories) -> Shop:
    return await shop(http, directory)


@pytest.fixture
async def issuers_key(service: Service, directory: Directories) -> rsa.RSAPrivateKey:
    return await issuers_key_of(service, directory)


async def assert_not_exchanged(at: Shop, subject_token: str, by: ConfidentialClient | None = None) -> None:
    assert_refused(await at.exchange(subject_token, by), 400, "invalid_request")


class TestWhoPresentsIt:
    """A token is exchanged by the API that it was sent to, and by nobody else."""

    @pytest.mark.parametrize(
        "registered",
        [
            {"resource_ids": (BILLING,), "audiences": (STOCK,)},
            {"resource_ids": (), "audiences": (STOCK,)},
            {"resource_ids": (), "audiences": (ORDERS, STOCK)},  # whom it may call is not who it is
            {"resource_ids": (f"{ORDERS}/", ORDERS.upper(), "https://orders"), "audiences": (STOCK,)},
        ],
        ids=["another API", "no API", "a client of the API", "an API of nearly that name"],
    )
    async def test_another_client(self, at: Shop, directory: Directories, registered: Mapping[str, Any]) -> None:
        subject_token = await at.subject_token()
        await assert_not_exchanged(at, subject_token, await api(directory, "", **registered))
        assert await at.exchanged(subject_token), "whoever has it in truth can"

    async def test_the_client_that_it_was_issued_to(self, at: Shop, directory: Directories) -> None:
        machine = await api(directory, BILLING, ORDERS, STOCK)
        await assert_not_exchanged(at, await token(at.http, machine, resource=ORDERS), machine)

    async def test_no_client_is_this_server(self, at: Shop, directory: Directories, service: Service) -> None:
        """A token for our own endpoints is not for anybody who is registered under our name."""
        posing = await api(directory, service.url, STOCK)
        await assert_not_exchanged(at, await token_of(at.http, at.user), posing)

    async def test_along_a_chain_each_has_its_own(self, at: Shop, directory: Directories) -> None:
        stock, first = await api(directory, STOCK, BILLING), await at.subject_token()
        second = await at.exchanged_token(first)
        await assert_not_exchanged(at, first, stock)
        await assert_not_exchanged(at, second)
        third = await at.exchanged_token(second, stock)
        await assert_not_exchanged(at, third)
        await assert_not_exchanged(at, third, stock)


class TestWhatIsPresented:
    """Only an access token of ours that is good now."""

    async def test_the_method_of_these_tests(self, at: Shop, issuers_key: rsa.RSAPrivateKey) -> None:
        """What is refused below is refused for what was changed, and not for how it was made."""
        good = await at.subject_token()
        assert await at.exchanged(signed(issuers_key, header(good), claims(good)))

    @pytest.mark.parametrize(
        "change",
        [
            {"iss": "https://evil.example.com"},
            {"aud": STOCK},
            {"aud": []},
            {"exp": 1},
            {"iat": 9999999999},
            {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
            {"family_id": "abc"},
            {"family_id": NOBODY},
            {"sub": NOBODY},
            {"sub": "nobody"},
            {"sub": "no\0body"},
            {"jti": "no\0body"},
            {"auth_time": None},
        ],
        ids=str,
    )
    async def test_claims(self, at: Shop, issuers_key: rsa.RSAPrivateKey, change: dict[str, Any]) -> None:
        good = await at.subject_token()
        changed = {name: value for name, value in (claims(good) | change).items() if value is not None}
        await assert_not_exchanged(at, signed(issuers_key, header(good), changed))

    @pytest.mark.parametrize("change", [{"typ": "JWT"}, {"typ": "logout+jwt"}, {"alg": "none"}, {"kid": "x"}], ids=str)
    async def test_headers(self, at: Shop, issuers_key: rsa.RSAPrivateKey, change: dict[str, Any]) -> None:
        """An ID token is of the type JWT."""
        good = await at.subject_token()
        await assert_not_exchanged(at, signed(issuers_key, header(good) | change, claims(good)))

    async def test_another_issuers(self, at: Shop) -> None:
        good = await at.subject_token()
        await assert_not_exchanged(at, signed(ATTACKER, header(good), claims(good)))

    async def test_a_refresh_token(self, at: Shop) -> None:
        login = await at.logged_in()
        await assert_not_exchanged(at, login["refresh_token"])
        answer = await at.http.post(
            "/token",
            data={"grant_type": "refresh_token", "refresh_token": login["refresh_token"]},
            auth=at.web.auth,
        )
        assert answer.status_code == 200, "it was not spent"

    @pytest.mark.parametrize("text", ["x", "a.b.c", "." * 9_000, "\xff", "null"], ids=range(5))
    async def test_no_token_at_all(self, at: Shop, text: str) -> None:
        answer = await at.exchange(text)
        assert_refused(answer, 400, "invalid_request")
        assert text == "x" or text not in answer.text

    async def test_one_that_expired_within_the_leeway_of_verifiers(
        self, at: Shop, issuers_key: rsa.RSAPrivateKey
    ) -> None:
        good = await at.subject_token()
        await assert_not_exchanged(at, signed(issuers_key, header(good), claims(good) | {"exp": int(time.time()) - 5}))


class TestWhatHasEnded:
    async def test_a_token_that_was_revoked(self, at: Shop) -> None:
        subject_token = await at.subject_token()
        await at.http.post("/revoke", data={"token": subject_token}, auth=at.web.auth)
        await assert_not_exchanged(at, subject_token)

    async def test_a_family_that_was_revoked(self, at: Shop) -> None:
        login = await at.logged_in()
        await at.http.post("/revoke", data={"token": login["refresh_token"]}, auth=at.web.auth)
        await assert_not_exchanged(at, login["access_token"])

    async def test_a_person_who_was_disabled(self, at: Shop, directory: Directories) -> None:
        """Whose token goes with no family, so that nothing else ends it."""
        client = await builders.client(directory, grant_types=frozenset({"password"}), audiences=(ORDERS,))
        form = {"grant_type": "password", "username": at.user.email, "password": builders.PASSWORD}
        subject_token = await token(at.http, client, **form)
        assert await at.exchanged(subject_token)
        await directory.people.set_active(at.user.id, False, OPERATOR)
        await assert_not_exchanged(at, subject_token)

    async def test_a_machine_that_was_removed(self, at: Shop, directory: Directories) -> None:
        robot = await builders.client(directory, audiences=(ORDERS,))
        subject_token = await token(at.http, robot)
        assert await at.exchanged(subject_token)
        await directory.clients.remove(robot.client.client_id, OPERATOR)
        await assert_not_exchanged(at, subject_token)


class TestNothingGrows:
    async def test_r12_scope(self, at: Shop) -> None:
        """The client is registered for `write`, the person gave `read` and `mail`."""
        subject_token = await at.subject_token(scope="read mail")
        assert (await at.exchanged(subject_token))["scope"] == "read"
        for scope in ("write", "read write", "mail"):
            assert_refused(await at.exchange(subject_token, scope=scope), 400, "invalid_scope")

    async def test_r12_what_was_narrowed_stays_narrow(self, at: Shop, directory: Directories) -> None:
        stock = await api(directory, STOCK, BILLING)
        narrow = await at.exchanged_token(await at.subject_token(scope="mail"))
        assert "scope" not in claims(narrow)
        assert_refused(await at.exchange(narrow, stock, scope="read"), 400, "invalid_scope")

    async def test_administration_is_never_handed_on(
        self, http: httpx.AsyncClient, directory: Directories, service: Service
    ) -> None:
        """Not even by an administrator's token, to a client that is registered for it and for our own audience."""
        everything = {"scopes": ("read", ADMIN_SCOPE), "audiences": (service.url,)}
        at = await shop(http, directory, **everything)
        subject_token = await at.subject_token(scope=f"read {ADMIN_SCOPE}")
        assert_refused(await at.exchange(subject_token, scope=ADMIN_SCOPE), 400, "invalid_scope")
        exchanged = await at.exchanged_token(subject_token)
        assert claims(exchanged)["scope"] == "read"
        assert (await http.get("/admin/users", headers=bearer(exchanged))).status_code == 403

    async def test_time(self, at: Shop, issuers_key: rsa.RSAPrivateKey) -> None:
        good = await at.subject_token()
        soon = int(time.time()) + 60
        answer = await at.exchange(signed(issuers_key, header(good), claims(good) | {"exp": soon}))
        found = claims(answer.json()["access_token"])
        assert found["exp"] == soon
        assert answer.json()["expires_in"] == soon - found["iat"]

    async def test_nothing_to_come_back_with(self, http: httpx.AsyncClient, directory: Directories) -> None:
        at = await shop(http, directory, grant_types=frozenset({TOKEN_EXCHANGE, "refresh_token"}))
        assert "refresh_token" not in (await at.exchange(await at.subject_token())).json()
