"""P5: guessing passwords gets slow, wherever the guesses come from; their owner gets in. P6: whether there is such an
account or not."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest
import pytest_asyncio

from idp.protocol.audit import OPERATOR
from idp.protocol.throttle import ACCOUNT, KNOWN, SOURCE
from tests import builders
from tests.builders import PASSWORD
from tests.conftest import CreateDatabase
from tests.security.instance import Instance, instance

_numbers = count(1)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idp(create_database: CreateDatabase, migrated: str) -> AsyncIterator[Instance]:
    """One for all: each test comes from places, and guesses at names, where nobody was before."""
    with create_database(migrated) as dsn:
        async with instance(dsn) as running:
            yield running


def nobody() -> str:
    return f"nobody{next(_numbers)}"


def somewhere() -> str:
    """An address from which nothing came yet (RFC 2544's range for tests)."""
    number = next(_numbers)
    return f"198.18.{number // 250}.{number % 250 + 1}"


async def login(
    idp: Instance, source: str, name: str | None, password: str = "wrong", **headers: str
) -> httpx.Response:
    async with idp.at(source, **headers) as http:
        return await http.post("/token", data={"username": name or "", "password": password})


async def guess_until_throttled(idp: Instance, name: str | None, tries: int) -> None:
    """So many guesses at one account, each from somewhere else."""
    for _ in range(tries):
        assert (await login(idp, somewhere(), name)).status_code == 400
    await idp.stop_time()


def assert_throttled(answer: httpx.Response) -> int:
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable"), answer.text
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["retry-after"])


async def test_delays_grow(idp: Instance) -> None:
    user = await builders.user(idp.directory)
    waits = []
    for _ in range(ACCOUNT.free + 12):
        assert (await login(idp, somewhere(), user.email)).status_code == 400
        row = await idp.store.executor.fetch_one(
            """select extract(epoch from greatest(next_at, last_at) - last_at)::int as wait
               from login_tries where subject = $1""",
            f"account:{user.id}",
        )
        assert row
        waits.append(row["wait"])
        if row["wait"]:
            await idp.stop_time()
            assert assert_throttled(await login(idp, somewhere(), user.email)) > row["wait"]
        await idp.pass_time()
    assert waits == [ACCOUNT.wait_after(tries) for tries in range(1, ACCOUNT.free + 13)]
    assert max(waits) == ACCOUNT.longest


async def test_even_the_right_password_waits(idp: Instance) -> None:
    user = await builders.user(idp.directory)
    await guess_until_throttled(idp, user.email, ACCOUNT.free)
    assert_throttled(await login(idp, somewhere(), user.email, PASSWORD))


async def test_every_name_of_an_account_counts_together(idp: Instance) -> None:
    user = await builders.user(idp.directory)
    email, name = user.email, user.username or ""
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalnum() else letter for letter in name)
    spellings = [email, email.upper(), f" {email} ", email.title(), name, name.upper(), f"{name} ", wide, wide.upper()]
    for spelling in [*spellings, email]:
        await guess_until_throttled(idp, spelling, 1)
    for spelling in spellings:
        assert_throttled(await login(idp, somewhere(), spelling))


async def test_every_client_counts_together(idp: Instance) -> None:
    user = await builders.user(idp.directory)
    client = await builders.client(idp.directory, grant_types=frozenset({"password"}))
    await guess_until_throttled(idp, user.email, ACCOUNT.free)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD}
    async with idp.at(somewhere()) as http:
        assert_throttled(await http.post("/token", data=form, auth=client.auth))


async def test_a_place_that_tries_many_accounts_is_slowed_down(idp: Instance) -> None:
    source, user = somewhere(), await builders.user(idp.directory)
    for _ in range(SOURCE.free):
        assert (await login(idp, source, nobody())).status_code == 400
    await idp.stop_time()
    assert_throttled(await login(idp, source, user.email, PASSWORD))
    assert (await login(idp, somewhere(), user.email, PASSWORD)).status_code == 200


async def test_the_owner_gets_in_from_a_known_place(idp: Instance) -> None:
    home, user = somewhere(), await builders.user(idp.directory)
    assert (await login(idp, home, user.email, PASSWORD)).status_code == 200
    await guess_until_throttled(idp, user.email, ACCOUNT.free)
    assert_throttled(await login(idp, somewhere(), user.email, PASSWORD))
    for name in (user.email, user.username):
        assert (await login(idp, home, name, PASSWORD)).status_code == 200


async def test_a_known_place_is_slowed_down_too(idp: Instance) -> None:
    home, user = somewhere(), await builders.user(idp.directory)
    assert (await login(idp, home, user.email, PASSWORD)).status_code == 200
    for _ in range(KNOWN.free):
        assert (await login(idp, home, user.email)).status_code == 400
    await idp.stop_time()
    assert_throttled(await login(idp, home, user.email, PASSWORD))


async def test_what_is_throttled_is_not_hashed(idp: Instance) -> None:
    user = await builders.user(idp.directory)
    await guess_until_throttled(idp, user.email, ACCOUNT.free)
    before = idp.pool.runs
    for _ in range(20):
        assert_throttled(await login(idp, somewhere(), user.email))
    assert idp.pool.runs == before


async def test_a_try_that_was_not_made_does_not_count(idp: Instance) -> None:
    """Else a flood would shut out everybody who came while it lasted."""
    home, user = somewhere(), await builders.user(idp.directory)
    idp.pool.full = True
    for _ in range(ACCOUNT.free + 1):
        assert (await login(idp, home, user.email, PASSWORD)).status_code == 503
    idp.pool.full = False
    assert (await login(idp, home, user.email, PASSWORD)).status_code == 200


async def test_parallel_guesses_do_not_slip_through(idp: Instance) -> None:
    user = await builders.user(idp.directory)
    before = idp.pool.runs
    answers = await asyncio.gather(*(login(idp, somewhere(), user.email) for _ in range(3 * ACCOUNT.free)))
    assert idp.pool.runs - before <= ACCOUNT.free
    assert {answer.status_code for answer in answers} == {400, 429}


async def test_parallel_guesses_from_a_known_place_do_not_either(idp: Instance) -> None:
    home, user = somewhere(), await builders.user(idp.directory)
    assert (await login(idp, home, user.email, PASSWORD)).status_code == 200
    before = idp.pool.runs
    answers = await asyncio.gather(*(login(idp, home, user.email) for _ in range(3 * KNOWN.free)))
    assert idp.pool.runs - before <= KNOWN.free
    assert {answer.status_code for answer in answers} == {400, 429}


async def test_parallel_logins_of_the_owner_are_no_guesses(idp: Instance) -> None:
    """Neither at a new place nor at a known one, however often."""
    user, place = await builders.user(idp.directory), somewhere()
    for _ in range(4):
        answers = await asyncio.gather(*(login(idp, place, user.email, PASSWORD) for _ in range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8


async def test_p6_unknown_accounts_are_throttled_alike(idp: Instance) -> None:
    known, disabled = await builders.user(idp.directory), await builders.user(idp.directory)
    await idp.directory.people.set_active(disabled.id, False, OPERATOR)

    async def history(name: str) -> list[object]:
        seen: list[object] = []
        for tries in range(ACCOUNT.free + 3):
            if tries == ACCOUNT.free:
                await idp.stop_time()
            answer = await login(idp, somewhere(), name)
            varying = ("x-request-id", "retry-after")
            headers = {name: value for name, value in answer.headers.items() if name not in varying}
            seen.append((answer.status_code, answer.content, headers, "retry-after" in answer.headers))
        return seen

    expected = await history(known.email)
    assert await history(disabled.email) == expected
    for stranger in (nobody(), f"{nobody()}@example.com"):
        assert await history(stranger) == expected
        assert_throttled(await login(idp, somewhere(), stranger.upper()))  # in any spelling


class TestSources:
    """R20: where a request comes from is the peer's address, unless that is a proxy which an operator named."""

    async def test_x_forwarded_for_of_anybody_is_not_believed(self, idp: Instance) -> None:
        source = somewhere()
        for number in range(SOURCE.free):
            forged = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
            assert (await login(idp, source, nobody(), **forged)).status_code == 400
        await idp.stop_time()
        assert_throttled(await login(idp, source, nobody(), **{"X-Forwarded-For": "203.0.113.200"}))

    async def test_a_trusted_proxy_is_believed(self, database: str) -> None:
        async with instance(database, trusted_proxies=("10.0.0.0/8",)) as idp:
            for number in range(SOURCE.free):
                # What the client wrote itself stands on the left, and is not believed.
                chain = {"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.7, 10.0.0.2"}
                assert (await login(idp, "10.0.0.1", nobody(), **chain)).status_code == 400
            await idp.stop_time()
            assert_throttled(await login(idp, "10.0.0.3", nobody(), **{"X-Forwarded-For": "198.51.100.7"}))
            others = {"X-Forwarded-For": "198.51.100.8"}
            assert (await login(idp, "10.0.0.1", nobody(), **others)).status_code == 400

    async def test_who_is_not_a_trusted_proxy_is_not_believed(self, database: str) -> None:
        async with instance(database, trusted_proxies=("10.0.0.0/8",)) as idp:
            source = somewhere()
            for number in range(SOURCE.free):
                forged = {"X-Forwarded-For": f"198.51.100.{number}"}
                assert (await login(idp, source, nobody(), **forged)).status_code == 400
            await idp.stop_time()
            assert_throttled(await login(idp, source, nobody(), **{"X-Forwarded-For": "10.0.0.1"}))

    async def test_one_network_of_ipv6_is_one_place(self, idp: Instance) -> None:
        for number in range(SOURCE.free):
            assert (await login(idp, f"2001:db8:1:2::{number:x}", nobody())).status_code == 400
        await idp.stop_time()
        assert_throttled(await login(idp, "2001:db8:1:2:ffff::1", nobody()))
        assert (await login(idp, "2001:db8:1:3::1", nobody())).status_code == 400
