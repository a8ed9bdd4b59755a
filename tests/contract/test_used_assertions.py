"""Assertions of clients, each good once (RFC 7523 §3), and keys of clients that are elsewhere."""

import asyncio

import httpx
import pytest

from idp.cli.directories import Directories
from idp_verifier.testing import JWKS_PATH, Answer, LocalIssuer, Signer
from tests.asserting import KeyedClient, keyed_client
from tests.contract.test_private_key_jwt import assert_refused
from tests.security.instance import ISSUER, instance
from tests.service import Service
from tests.store.relay import relayed


@pytest.fixture
async def keyed(service: Service, directory: Directories) -> KeyedClient:
    return await keyed_client(directory, service.url)


class TestOnce:
    """Each assertion is good once (RFC 7523 §3, `jti`)."""

    async def test_a_second_use_is_refused_wherever_it_comes(self, http: httpx.AsyncClient, keyed: KeyedClient) -> None:
        assertion = keyed.assertion()
        assert (await http.post("/token", data=keyed.form(assertion))).status_code == 200
        for endpoint in ("/token", "/revoke", "/introspect"):
            assert_refused(await http.post(endpoint, data=keyed.form(assertion, token="t")))

    async def test_the_same_id_of_two_clients(
        self, http: httpx.AsyncClient, service: Service, directory: Directories, keyed: KeyedClient
    ) -> None:
        for client in (keyed, await keyed_client(directory, service.url)):
            answer = await http.post("/token", data=client.form(client.assertion(jti="1")))
            assert answer.status_code == 200

    async def test_nobody_else_can_use_up_an_id(
        self, http: httpx.AsyncClient, service: Service, directory: Directories, keyed: KeyedClient
    ) -> None:
        thief = await keyed_client(directory, service.url)
        stranger = Signer.generate("ES256", keyed.signer.kid)
        for assertion in (
            stranger.sign(keyed.claims(jti="mine"), typ=None),
            thief.assertion(jti="mine", iss=keyed.client.client_id, sub=keyed.client.client_id),
            thief.assertion(jti="mine", iss=keyed.client.client_id),
            keyed.assertion(jti="mine", aud="https://other.example"),
        ):
            assert_refused(await http.post("/token", data=keyed.form(assertion)))
        assert (await http.post("/token", data=keyed.form(keyed.assertion(jti="mine")))).status_code == 200

    async def test_of_racers_on_two_instances_one_wins(self, database: str) -> None:
        async with instance(database) as one, instance(database) as other:
            keyed = await keyed_client(one.directory, ISSUER)
            form = keyed.form()
            async with one.at("192.0.2.1") as first, other.at("192.0.2.1") as second:
                answers = await asyncio.gather(
                    *(http.post("/token", data=form) for _ in range(8) for http in (first, second))
                )
            assert sorted(answer.status_code for answer in answers) == [200] + [401] * 15

    async def test_an_id_that_cannot_be_marked_as_used_is_not_accepted(self, database: str) -> None:
        """The database answers for the client, and not for the id: 503, and nothing is pretended."""
        async with relayed(database) as (relay, dsn), instance(dsn) as one, one.at("192.0.2.1") as http:
            keyed = await keyed_client(one.directory, ISSUER)
            relay.cut_answer_to(b"into used_ids")
            answer = await http.post("/token", data=keyed.form())
            assert_refused(answer, 503, "temporarily_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert (await http.post("/token", data=keyed.form())).status_code == 200


class TestKeysElsewhere:
    """`jwks_uri`, over real HTTP."""

    async def test_they_are_fetched_once_and_followed_when_they_change(self, database: str) -> None:
        async with instance(database, allow_private_jwks=("127.0.0.0/8",)) as one, one.at("192.0.2.1") as http:
            with LocalIssuer("ES256") as place:
                keyed = await keyed_client(one.directory, ISSUER, place.signer, jwks_uri=place.url + JWKS_PATH)
                answers = await asyncio.gather(*(http.post("/token", data=keyed.form()) for _ in range(8)))
                assert {answer.status_code for answer in answers} == {200}
                assert len(place.requests) == 1
                after = KeyedClient(keyed.client, Signer.generate("EdDSA"), ISSUER)
                place.publish(keyed.signer, after.signer)
                assert (await http.post("/token", data=after.form())).status_code == 200
                for _ in range(3):  # the next look for an unknown key is half a minute away
                    stranger = KeyedClient(keyed.client, Signer.generate("ES256"), ISSUER)
                    assert_refused(await http.post("/token", data=stranger.form()))
                assert len(place.requests) == 2
            assert (await http.post("/token", data=keyed.form())).status_code == 200  # nobody is there any more

    async def test_keys_that_cannot_be_fetched_say_nothing_of_the_client(self, database: str) -> None:
        async with instance(database, allow_private_jwks=("127.0.0.0/8",)) as one, one.at("192.0.2.1") as http:
            with LocalIssuer("ES256") as place:
                place.answers[JWKS_PATH] = Answer(b"{}", 500)
                keyed = await keyed_client(one.directory, ISSUER, place.signer, jwks_uri=place.url + JWKS_PATH)
                answer = await http.post("/token", data=keyed.form())
                assert_refused(answer, 503, "temporarily_unavailable")
                assert place.url not in answer.text
