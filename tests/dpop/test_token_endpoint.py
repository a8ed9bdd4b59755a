"""RFC 9449 at the token endpoint: each rule of §4.3 for itself, nonces (§8), and what a good proof gives (§5)."""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from idp.cli.directories import Directories
from idp.endpoints.proofs import CLOCK_WINDOW
from idp.protocol.dpop import NONCE_LIFETIME
from idp.signing.server_secrets import NonceSecret
from idp_verifier.jwk import SUPPORTED_ALGORITHMS
from idp_verifier.testing import base64url
from tests import builders
from tests.builders import ConfidentialClient
from tests.contract.asking import claims, header
from tests.dpop.proving import Prover, new_key, public_jwk
from tests.refresh.beginning import SEALER
from tests.service import Service

Refused = Callable[..., Awaitable[None]]
OTHER = new_key()
SECRET = base64url(bytes(32))
OWN: dict[str, str] = {"grant_type": "client_credentials"}


@pytest.fixture
async def client(directory: Directories) -> ConfidentialClient:
    return await builders.client(directory)


@pytest.fixture
async def prover(http: httpx.AsyncClient, service: Service, client: ConfidentialClient) -> Prover:
    """Has a nonce already."""
    prover = Prover(http, service.url)
    await prover.token(client)
    assert prover.nonce
    return prover


async def ask(prover: Prover, client: ConfidentialClient, *proofs: str, **headers: str) -> httpx.Response:
    """A token request with these proofs and nothing done about the answer."""
    sent = [("DPoP", proof) for proof in proofs] + list(headers.items())
    return await prover.http.post("/token", data=OWN, auth=client.auth, headers=sent)


def assert_refused(answer: httpx.Response, error: str = "invalid_dpop_proof") -> None:
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "access_token" not in answer.text


class TestBinding:
    async def test_the_token_names_the_key(self, prover: Prover, client: ConfidentialClient) -> None:
        issued = await prover.token(client)
        assert claims(issued)["cnf"] == {"jkt": prover.jkt}
        assert header(issued)["typ"] == "at+jwt"

    async def test_without_a_proof_it_is_a_bearer_token(self, prover: Prover, client: ConfidentialClient) -> None:
        answer = await ask(prover, client)
        assert answer.json()["token_type"] == "Bearer"
        assert "cnf" not in claims(answer.json()["access_token"])
        assert "dpop-nonce" not in answer.headers

    @pytest.mark.parametrize("alg", SUPPORTED_ALGORITHMS)
    async def test_by_each_algorithm_of_the_metadata(
        self, http: httpx.AsyncClient, service: Service, client: ConfidentialClient, alg: str
    ) -> None:
        prover = Prover(http, service.url, new_key(alg))
        assert claims(await prover.token(client))["cnf"] == {"jkt": prover.jkt}
        document = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert alg in document["dpop_signing_alg_values_supported"]

    async def test_the_key_of_rfc_7638(self, prover: Prover, client: ConfidentialClient) -> None:
        """The thumbprint is over the required members alone, in their order, whatever else the key says of itself."""
        jwk = dict(reversed(public_jwk(prover.signer).items())) | {"kid": "mine", "use": "sig", "x5t": "ignored"}
        answer = await ask(prover, client, prover.proof(header={"jwk": jwk}))
        assert claims(answer.json()["access_token"])["cnf"] == {"jkt": prover.jkt}

    async def test_every_request_needs_its_own_proof(self, prover: Prover, client: ConfidentialClient) -> None:
        proof = prover.proof()
        assert (await ask(prover, client, proof)).status_code == 200
        assert_refused(await ask(prover, client, proof))
        assert (await ask(prover, client, prover.proof())).status_code == 200

    async def test_the_same_id_from_another_key_is_another(self, prover: Prover, client: ConfidentialClient) -> None:
        other = Prover(prover.http, prover.issuer, OTHER, prover.nonce)
        jti = uuid4().hex
        for proof in (prover.proof(jti=jti), other.proof(jti=jti)):
            assert (await ask(prover, client, proof)).status_code == 200
        assert_refused(await ask(prover, client, prover.proof(jti=jti)))

    async def test_r13_who_fails_to_authenticate_uses_nothing_up(
        self, prover: Prover, client: ConfidentialClient
    ) -> None:
        proof = prover.proof()
        wrong = (client.client.client_id, "wrong")
        answer = await prover.http.post("/token", data=OWN, auth=wrong, headers={"DPoP": proof})
        assert answer.status_code == 401
        assert (await ask(prover, client, proof)).status_code == 200

    async def test_l2_a_replay_is_in_the_audit_log(
        self, prover: Prover, client: ConfidentialClient, directory: Directories
    ) -> None:
        proof = prover.proof()
        for _ in range(2):
            answer = await ask(prover, client, proof)
        assert_refused(answer)
        events: list[Any] = []
        while not events:  # it goes through the queue
            events = list(await directory.store.audit.page(event="dpop.replayed", subject=client.client.client_id))
        assert events[0].outcome == "refused"
        assert dict(events[0].detail) == {"jkt": prover.jkt}


async def test_8_2_the_next_nonce_comes_with_the_answer(
    prover: Prover, client: ConfidentialClient, directory: Directories
) -> None:
    secret = NonceSecret(directory.store, SEALER)
    await secret.start()
    nonces = secret()
    assert "dpop-nonce" not in (await ask(prover, client, prover.proof())).headers

    old = nonces.at(time.time() - NONCE_LIFETIME / 2)
    answer = await ask(prover, client, prover.proof(nonce=old))
    assert answer.status_code == 200
    assert (nonces.good_until(answer.headers["dpop-nonce"]) or 0) > time.time() + NONCE_LIFETIME - 60

    ended = nonces.at(time.time() - NONCE_LIFETIME - 1)
    assert_refused(await ask(prover, client, prover.proof(nonce=ended)), "use_dpop_nonce")


class TestDemanded:
    """§5.2: `dpop_bound_access_tokens`."""

    async def test_no_proof_no_token(self, prover: Prover, directory: Directories) -> None:
        client = await builders.client(directory, dpop_bound_access_tokens=True)
        assert_refused(await ask(prover, client))
        assert claims(await prover.token(client))["cnf"] == {"jkt": prover.jkt}


class TestRules:
    """§4.3, by the numbers there; the rest of 12 is in test_resources.py."""

    @pytest.fixture
    def refused(self, prover: Prover, client: ConfidentialClient) -> Refused:
        """Demands that each of these proofs is refused."""

        async def refused(*proofs: str) -> None:
            for proof in proofs:
                assert_refused(await ask(prover, client, proof))

        return refused

    async def test_1_more_than_one_header(self, prover: Prover, client: ConfidentialClient, refused: Refused) -> None:
        assert_refused(await ask(prover, client, prover.proof(), prover.proof()))
        await refused(f"{prover.proof()}, {prover.proof()}")

    async def test_2_not_one_well_formed_jwt(self, refused: Refused) -> None:
        await refused("", "proof", "a.b", "a.b.c", "a.b.c.d", "{}", "a" * 20_000)

    async def test_3_a_required_claim_is_missing(self, prover: Prover, refused: Refused) -> None:
        await refused(prover.proof(jti=...), prover.proof(htm=...), prover.proof(htu=...), prover.proof(iat=...))

    async def test_4_another_type(self, prover: Prover, refused: Refused) -> None:
        await refused(*(prover.proof(header={"typ": typ}) for typ in (None, "jwt", "at+jwt", "dpop", "dpop+jws", 1)))

    async def test_5_another_algorithm(self, prover: Prover, refused: Refused) -> None:
        algs = (None, "none", "None", "HS256", "ES384", "RS256", "EdDSA", "RSA-OAEP")
        await refused(*(prover.proof(header={"alg": alg}) for alg in algs))

    async def test_5_unsigned(self, prover: Prover, refused: Refused) -> None:
        head, payload, _ = prover.proof(header={"alg": "none"}).split(".")
        await refused(f"{head}.{payload}.")

    async def test_6_a_signature_by_another_key(self, prover: Prover, refused: Refused) -> None:
        head, _, signature = prover.proof().split(".")
        _, another, _ = prover.proof().split(".")
        await refused(prover.proof(header={"jwk": public_jwk(OTHER)}), f"{head}.{another}.{signature}")

    async def test_6_no_key_to_verify_with(self, prover: Prover, refused: Refused) -> None:
        symmetric, no_point = {"kty": "oct", "k": SECRET}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
        await refused(*(prover.proof(header={"jwk": jwk}) for jwk in (None, {}, "jwk", symmetric, no_point)))

    async def test_7_a_private_key(self, prover: Prover, refused: Refused) -> None:
        jwk = public_jwk(prover.signer)
        await refused(*(prover.proof(header={"jwk": jwk | {member: SECRET}}) for member in ("d", "p", "k")))

    async def test_8_for_another_method(self, prover: Prover, refused: Refused) -> None:
        await refused(*(prover.proof(htm=method) for method in ("GET", "post", "PUT", "", 1)))

    async def test_9_for_another_uri(self, prover: Prover, refused: Refused) -> None:
        own = prover.issuer
        others = [f"{own}/revoke", f"{own}/token/", f"{own}/Token", own, f"{own}.evil.example.com/token", "/token", 1]
        others += [f"{own}/revoke?/token", f"{own}@evil.example.com/token", own.replace("http:", "https:") + "/token"]
        await refused(*(prover.proof(htu=htu) for htu in others))

    async def test_9_r20_the_host_header_says_nothing(self, prover: Prover, client: ConfidentialClient) -> None:
        forged = prover.proof(htu="http://evil.example.com/token")
        assert_refused(await ask(prover, client, forged, Host="evil.example.com"))
        assert (await ask(prover, client, prover.proof(), Host="evil.example.com")).status_code == 200

    async def test_9_query_fragment_and_case_of_the_host_say_nothing_either(
        self, prover: Prover, client: ConfidentialClient
    ) -> None:
        for htu in (f"{prover.issuer}/token?a=b#c", f"{prover.issuer.upper()}/token", f"{prover.issuer}/./token"):
            assert (await ask(prover, client, prover.proof(htu=htu))).status_code == 200, htu

    async def test_10_without_a_nonce_of_ours(self, prover: Prover, client: ConfidentialClient) -> None:
        """And the same id may be used again with one, since nothing was."""
        jti = uuid4().hex
        for nonce in (..., "", "nonce", "A" * 32, "ä", None):
            answer = await ask(prover, client, prover.proof(nonce=nonce, jti=jti))
            assert_refused(answer, "use_dpop_nonce")
        fresh = answer.headers["dpop-nonce"]
        assert (await ask(prover, client, prover.proof(nonce=fresh, jti=jti))).status_code == 200

    async def test_10_a_nonce_that_is_no_string(self, prover: Prover, refused: Refused) -> None:
        await refused(prover.proof(nonce=1))

    async def test_11_too_old_or_from_the_future(self, prover: Prover, refused: Refused) -> None:
        now = time.time()
        instants = (0, int(now - CLOCK_WINDOW) - 60, int(now + CLOCK_WINDOW) + 600, 10**15, -1, "now", True)
        await refused(*(prover.proof(iat=iat) for iat in instants))

    async def test_11_a_clock_that_is_minutes_wrong_will_do(self, prover: Prover, client: ConfidentialClient) -> None:
        for seconds in (-240, 240):
            assert (await ask(prover, client, prover.proof(iat=int(time.time()) + seconds))).status_code == 200
