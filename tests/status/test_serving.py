"""`GET /status/{list_id}`: what verifiers and caches get, and that there is nothing where the lists are off."""

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.audit import OPERATOR
from idp.protocol.status import LIST_TTL
from idp.signing.keeper import INTERVAL
from tests import builders
from tests.contract.asking import claims, header, token, token_of
from tests.service import Service
from tests.status.conftest import AUDIENCE, STATED, Resource, pass_time

LIST = "/status/0"


async def test_headers(client: httpx.AsyncClient) -> None:
    pass_time(LIST_TTL)
    answer = await client.get(LIST)
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["cache-control"] == f"public, max-age={LIST_TTL - 1}"  # of a whole second the rest has passed


async def test_r19_pages_of_every_origin_may_read_it(client: httpx.AsyncClient) -> None:
    for origin in ("https://anybody.example", "null"):
        assert (await client.get(LIST, headers={"Origin": origin})).headers["access-control-allow-origin"] == "*"


async def test_token(client: httpx.AsyncClient, issuer: Service) -> None:
    listed = (await client.get(LIST)).text
    found = claims(listed)
    assert header(listed).keys() == {"typ", "alg", "kid"}
    assert header(listed)["typ"] == "statuslist+jwt"
    assert found.keys() == {"iss", "sub", "iat", "exp", "ttl", "status_list"}
    assert (found["iss"], found["sub"], found["ttl"]) == (issuer.url, issuer.url + LIST, LIST_TTL)
    assert found["exp"] - found["iat"] == issuer.settings.status_list_lifetime
    assert found["status_list"]["bits"] == 1


async def test_it_is_made_once_in_its_ttl(client: httpx.AsyncClient) -> None:
    """Meanwhile it grows no younger: what caches on the way hold does not add up."""
    pass_time(LIST_TTL)
    first = await client.get(LIST)
    pass_time(LIST_TTL / 2)
    second = await client.get(LIST)
    assert second.text == first.text
    assert int(second.headers["cache-control"].rpartition("=")[2]) <= LIST_TTL / 2
    pass_time(LIST_TTL / 2)
    assert (await client.get(LIST)).text != first.text


async def test_not_modified(client: httpx.AsyncClient) -> None:
    pass_time(LIST_TTL)
    etag = (await client.get(LIST)).headers["etag"]
    answer = await client.get(LIST, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert "max-age" in answer.headers["cache-control"]
    pass_time(LIST_TTL)  # whoever keeps a list gets one with a later `exp`, though nothing was revoked
    assert (await client.get(LIST, headers={"If-None-Match": etag})).status_code == 200


@pytest.mark.parametrize("name", ["1", "999999999999999999", "9" * 30, "-1", "0x0", "00", ""])
async def test_no_such_list(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/status/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_no_list_of_the_past(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{LIST}?time=1686925000")).status_code == 501


async def test_a_rotation_of_keys(
    client: httpx.AsyncClient, at_issuer: Directories, resource: Resource, issuer: Service
) -> None:
    """Tokens of the key before are looked up in lists of the next; when it is revoked, no list of it is served."""
    machine = await builders.client(at_issuer, audiences=(AUDIENCE,))
    before = await token(client, machine)
    await resource.accepts(before)
    old = header((await client.get(LIST)).text)["kid"]
    await at_issuer.keys.rotate(OPERATOR, immediate=True)
    await until_signed_with_another(client, machine, old)
    assert header((await client.get(LIST)).text)["kid"] == old  # it still verifies
    assert await resource.accepts(before)
    pass_time(STATED)
    assert header((await client.get(LIST)).text)["kid"] != old
    assert await resource.accepts(before)
    new = header((await client.get(LIST)).text)["kid"]
    await at_issuer.keys.revoke(new, OPERATOR)
    await until_signed_with_another(client, machine, new)
    assert header((await client.get(LIST)).text)["kid"] != new


async def until_signed_with_another(client: httpx.AsyncClient, machine: builders.ConfidentialClient, kid: str) -> None:
    """The instance reads the key table once a second."""
    for _ in range(1000):
        if header(await token(client, machine))["kid"] != kid:
            return
    raise AssertionError(f"the key table was not read for many times {INTERVAL} s")


class TestOff:
    """The default."""

    async def test_nothing_is_to_be_seen_of_it(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        user = await builders.user(directory)
        for issued in (
            await token(http, await builders.client(directory)),
            await token_of(http, user),
        ):
            assert "status" not in claims(issued)
        assert (await http.get(LIST)).status_code == 404
        row = await directory.store.executor.fetch_one(
            """select (select count(*) from status_lists) as lists,
                   (select count(*) from refresh_families where user_id = $1) as families""",
            user.id,
        )
        assert row is not None
        assert tuple(row) == (0, 0)
        assert service.settings.rotation_policy.retention == 900 + 30 + 10
