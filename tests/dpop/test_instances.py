"""Two instances on one database: what one has seen, the other knows (RFC 9449 §11.1)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from tests import builders
from tests.builders import ConfidentialClient
from tests.dpop.proving import Prover, wants_nonce
from tests.security.instance import ISSUER, instance

RACERS = 20


@pytest.fixture
async def both(database: str) -> AsyncIterator[tuple[ConfidentialClient, httpx.AsyncClient, httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(instance(database)) for _ in range(2)]
        yield await builders.client(one.directory), one.at("192.0.2.1"), other.at("192.0.2.1")


async def test_a_nonce_of_one_is_good_at_the_other_and_a_proof_once_at_both(
    both: tuple[ConfidentialClient, httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    client, one, other = both
    prover = Prover(one, ISSUER)
    await prover.token(client)

    def ask(http: httpx.AsyncClient, proof: str) -> asyncio.Task[httpx.Response]:
        form = {"grant_type": "client_credentials"}
        return asyncio.create_task(http.post("/token", data=form, auth=client.auth, headers={"DPoP": proof}))

    proof = prover.proof()
    assert (await ask(other, proof)).status_code == 200
    replayed = await ask(one, proof)
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_dpop_proof")
    assert not wants_nonce(replayed)

    proof = prover.proof()
    answers = await asyncio.gather(*(ask(http, proof) for http in (one, other) for _ in range(RACERS // 2)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: RACERS - 1}
