"""RFC 9449 at our own resources (§7, §9): a token that is bound to a key is worth nothing without it."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import ADMIN_CLIENT, bearer, token, token_of
from tests.contract.test_users import GOOD_PASSWORD, assert_problem
from tests.dpop.proving import Prover, hash_of, new_key
from tests.service import Service

ME = "/users/me"


@pytest.fixture
def prover(http: httpx.AsyncClient, service: Service) -> Prover:
    return Prover(http, service.url)


@pytest.fixture
async def issued(prover: Prover, directory: Directories) -> str:
    """A person's token that is bound to the key of the prover, who has a nonce."""
    client = await builders.client(directory, grant_types=frozenset({"password"}))
    user = await builders.user(directory, roles=("admin",))
    return await prover.token(client, grant_type="password", username=user.email, password=PASSWORD)


def assert_challenged(answer: httpx.Response, error: str, scheme: str = "DPoP") -> None:
    assert_problem(answer, 401)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'{scheme} error="{error}"')
    assert (scheme != "DPoP") or challenge.endswith('algs="RS256 PS256 ES256 EdDSA"')


async def present(prover: Prover, headers: Mapping[str, str], path: str = ME) -> httpx.Response:
    return await prover.http.get(path, headers=headers)


def presented(token: str, proof: str) -> dict[str, str]:
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


async def test_with_a_proof(prover: Prover, issued: str) -> None:
    answer = await prover.send(ME, "GET", access_token=issued)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("scheme", ["dpop", "DPOP", "DPoP"])
async def test_the_scheme_in_any_case(prover: Prover, issued: str, scheme: str) -> None:
    proof = prover.proof(ME, "GET", ath=hash_of(issued))
    answer = await present(prover, {"Authorization": f"{scheme} {issued}", "DPoP": proof})
    assert answer.status_code == 200, answer.text


async def test_7_2_never_as_a_bearer_token(prover: Prover, issued: str) -> None:
    proof = prover.proof(ME, "GET", ath=hash_of(issued))
    for headers in (bearer(issued), {**bearer(issued), "DPoP": proof}):
        assert_challenged(await present(prover, headers), "invalid_token")


async def test_7_1_a_bearer_token_does_not_become_bound(prover: Prover, directory: Directories, issued: str) -> None:
    unbound = await token_of(prover.http, await builders.user(directory))
    proof = prover.proof(ME, "GET", ath=hash_of(unbound))
    assert_challenged(await present(prover, presented(unbound, proof)), "invalid_token")
    assert (await present(prover, bearer(unbound))).status_code == 200


async def test_without_a_proof(prover: Prover, issued: str) -> None:
    assert_challenged(await present(prover, {"Authorization": f"DPoP {issued}"}), "invalid_dpop_proof")


async def test_9_without_a_nonce(prover: Prover, issued: str) -> None:
    answer = await present(prover, presented(issued, prover.proof(ME, "GET", ath=hash_of(issued), nonce=...)))
    assert_challenged(answer, "use_dpop_nonce")
    prover.nonce = answer.headers["dpop-nonce"]
    assert (await prover.send(ME, "GET", access_token=issued)).status_code == 200


async def test_11_1_a_proof_is_good_once(prover: Prover, issued: str) -> None:
    headers = presented(issued, prover.proof(ME, "GET", ath=hash_of(issued)))
    assert (await present(prover, headers)).status_code == 200
    assert_challenged(await present(prover, headers), "invalid_dpop_proof")


async def test_4_3_1_two_proofs(prover: Prover, issued: str) -> None:
    proofs = [("DPoP", prover.proof(ME, "GET", ath=hash_of(issued))) for _ in range(2)]
    answer = await prover.http.get(ME, headers=[("Authorization", f"DPoP {issued}"), *proofs])
    assert_challenged(answer, "invalid_dpop_proof")


@pytest.mark.parametrize(
    "deviation",
    [
        {"ath": ...},
        {"ath": hash_of("another token")},
        {"ath": ""},
        {"htm": "POST"},
        {"htu": "https://evil.example.com/users/me"},
    ],
    ids=str,
)
async def test_4_3_a_proof_for_something_else(prover: Prover, issued: str, deviation: dict[str, Any]) -> None:
    proof = prover.proof(ME, "GET", **{"ath": hash_of(issued)} | deviation)
    assert_challenged(await present(prover, presented(issued, proof)), "invalid_dpop_proof")


async def test_4_3_a_proof_for_another_resource(prover: Prover, issued: str) -> None:
    proof = prover.proof("/admin/dashboard", "GET", ath=hash_of(issued))
    assert_challenged(await present(prover, presented(issued, proof)), "invalid_dpop_proof")
    assert (await present(prover, presented(issued, proof), "/admin/dashboard")).status_code == 200


async def test_4_3_one_that_was_made_for_the_token_endpoint(prover: Prover, issued: str) -> None:
    assert_challenged(await present(prover, presented(issued, prover.proof())), "invalid_dpop_proof")


async def test_4_3_12_by_another_key(prover: Prover, issued: str) -> None:
    thief = Prover(prover.http, prover.issuer, new_key(), prover.nonce)
    assert_challenged(await thief.send(ME, "GET", access_token=issued), "invalid_dpop_proof")
    assert (await prover.send(ME, "GET", access_token=issued)).status_code == 200


async def test_of_a_disabled_person(prover: Prover, issued: str, directory: Directories) -> None:
    user_id = (await prover.send(ME, "GET", access_token=issued)).json()["id"]
    await directory.store.executor.execute("update users set is_active = false where id = $1::text::uuid", user_id)
    assert_challenged(await prover.send(ME, "GET", access_token=issued), "invalid_token")


class TestAdminApi:
    async def test_by_a_client(self, prover: Prover, directory: Directories) -> None:
        client = await builders.client(directory, **ADMIN_CLIENT)
        issued = await prover.token(client, scope="idp:admin")
        answer = await prover.send("/admin/users?limit=1", "GET", access_token=issued)
        assert answer.status_code == 200, answer.text
        made = {"email": "bound@example.com", "password": GOOD_PASSWORD}
        answer = await prover.send("/admin/users", access_token=issued, json=made)
        assert answer.status_code == 201, answer.text
        assert_challenged(await present(prover, bearer(issued), "/admin/users"), "invalid_token")

    async def test_a_path_with_an_escape(self, prover: Prover, directory: Directories) -> None:
        issued = await prover.token(await builders.client(directory, **ADMIN_CLIENT), scope="idp:admin")
        await builders.client(directory, client_id="100%~bound")
        for path in ("/admin/clients/100%25~bound", "/admin/clients/100%25%7ebound"):
            answer = await prover.send(path, "GET", access_token=issued)
            assert answer.status_code == 200, answer.text

    async def test_without_the_scope(self, prover: Prover, directory: Directories) -> None:
        issued = await prover.token(await builders.client(directory, **ADMIN_CLIENT))
        answer = await prover.send("/admin/users", "GET", access_token=issued)
        assert_problem(answer, 403)
        assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')

    async def test_registering_somebody_takes_one_proof(
        self, prover: Prover, directory: Directories, issued: str
    ) -> None:
        """In person, and by the admin API: both look at the token more than once."""
        made = {"email": "in.person@example.com", "password": GOOD_PASSWORD}
        answer = await prover.send("/users", access_token=issued, json=made)
        assert answer.status_code == 201, answer.text
        machine = await prover.token(await builders.client(directory, **ADMIN_CLIENT), scope="idp:admin")
        made = {"email": "by.machine@example.com", "password": GOOD_PASSWORD}
        answer = await prover.send("/users", access_token=machine, json=made)
        assert answer.status_code == 201, answer.text


async def test_introspection_shows_the_key(prover: Prover, directory: Directories) -> None:
    asking = await builders.client(directory, may_introspect=True)
    for issued, token_type, cnf in (
        (await prover.token(asking), "DPoP", {"jkt": prover.jkt}),
        (await token(prover.http, asking), "Bearer", None),
    ):
        shown = (await prover.http.post("/introspect", data={"token": issued}, auth=asking.auth)).json()
        assert (shown["active"], shown["token_type"], shown.get("cnf")) == (True, token_type, cnf)
