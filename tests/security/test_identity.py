"""One person, one normal form: look-alike names neither log in nor can be registered beside each other."""

import unicodedata

import httpx
import pytest

from idp.cli.directories import Directories
from idp.directory.people import Registration
from idp.protocol.audit import OPERATOR
from idp.protocol.user import User
from tests import builders
from tests.builders import PASSWORD
from tests.contract.asking import admin_token, bearer
from tests.contract.test_users import GOOD_PASSWORD, assert_problem


@pytest.fixture
async def mike(directory: Directories) -> User:
    found = await directory.store.users.by_login_key("mike")
    if found:
        return found.user
    return await directory.people.register(Registration("mike@example.com", PASSWORD, "mike"), OPERATOR)


async def login(http: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    return await http.post("/token", data={"username": name, "password": password})


WIDE_MIKE = "\uff4d\uff49\uff4b\uff45"
WIDE_DOMAIN = "\uff45xample.com"


@pytest.mark.parametrize(
    "name",
    ["MIKE", " mike ", WIDE_MIKE, "mi\u212ae", "Mike@EXAMPLE.com", f"mike@{WIDE_DOMAIN}", f"{WIDE_MIKE}@example.com"],
)
async def test_the_same_name_written_otherwise(http: httpx.AsyncClient, mike: User, name: str) -> None:
    assert (await login(http, name)).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "m\u0131ke",  # a dotless i
        "m\u0456ke",  # a Cyrillic i
        "m\u200bike",
        "mike\u200d",
        "mike\u0301",
        "mike\u202e",
        "mike.",
        "mike--",
        "mike%",
        "m_ke",
        "'mike'",
        "*",
        "mike+x@example.com",
        "m\u0131ke@example.com",
        "mike@example.com.",
        "mike@example.com@example.com",
    ],
)
async def test_another_name_is_not_taken_for_it(http: httpx.AsyncClient, mike: User, name: str) -> None:
    answer = await login(http, name)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("name", "status"),
    [("MIKE", 409), ("m\u0456ke", 422), ("m\u200bike", 422), ("mike\u202e", 422), ("m\u0131ke", 201)],
)
async def test_a_look_alike_is_refused_or_somebody_else(
    http: httpx.AsyncClient, directory: Directories, mike: User, name: str, status: int
) -> None:
    """A dotless i is a letter of its own in Turkish: such a name is free, and never opens the account of mike."""
    headers = bearer(await admin_token(http, directory))
    new = {"email": "look-alike@example.com", "username": name, "password": GOOD_PASSWORD}
    assert (await http.post("/users", json=new, headers=headers)).status_code == status
    assert (await login(http, "mike", GOOD_PASSWORD)).status_code == 400
    assert ((await login(http, name, GOOD_PASSWORD)).status_code == 200) == (status == 201)


async def test_plus_addresses_are_their_own(http: httpx.AsyncClient, directory: Directories) -> None:
    user = await builders.user(directory)
    mailbox, _, domain = user.email.partition("@")
    headers = bearer(await admin_token(http, directory))
    other = {"email": f"{mailbox}+other@{domain}", "password": GOOD_PASSWORD}
    assert (await http.post("/users", json=other, headers=headers)).status_code == 201
    assert (await login(http, user.email, GOOD_PASSWORD)).status_code == 400
    assert (await login(http, other["email"], GOOD_PASSWORD)).status_code == 200


@pytest.mark.parametrize("taken", ["email as username", "username as email"])
async def test_an_address_is_never_a_username(http: httpx.AsyncClient, directory: Directories, taken: str) -> None:
    user = await builders.user(directory)
    new = {"email": "new@example.com", "username": user.email, "password": GOOD_PASSWORD}
    if taken == "username as email":
        new = {"email": user.username or "", "password": GOOD_PASSWORD}
    answer = await http.post("/users", json=new, headers=bearer(await admin_token(http, directory)))
    assert_problem(answer, 422)


async def test_p3_a_password_does_not_depend_on_the_keyboard(http: httpx.AsyncClient, directory: Directories) -> None:
    composed = unicodedata.normalize("NFC", "über sieben Brücken mußt du gehn")
    user = await builders.user(directory, password=composed)
    assert (await login(http, user.email, unicodedata.normalize("NFD", composed))).status_code == 200


@pytest.mark.parametrize("end", ["x", "\x00", " ", "\n"])
async def test_p2_the_whole_password_counts(http: httpx.AsyncClient, directory: Directories, end: str) -> None:
    long = "a rather long one, " * 6
    user = await builders.user(directory, password=long + "end")
    for wrong in (long, long + "end" + end, long[:72], long + "enD"):
        assert (await login(http, user.email, wrong)).status_code == 400
    assert (await login(http, user.email, long + "end")).status_code == 200
