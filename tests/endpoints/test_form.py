"""Which forms are remembered: those that hold nothing but what is asked for."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from idp.endpoints import form
from idp.endpoints.form import Form, parse_form
from idp.endpoints.whole import BODY


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, Form]:
    known: dict[bytes, Form] = {}
    monkeypatch.setattr(form, "_known", known)
    return known


async def read(body: bytes) -> Form:
    return await parse_form(Request({"type": "http", "headers": [(b"content-type", form_type)], BODY: body}, nothing))


form_type = b"application/x-www-form-urlencoded"


async def nothing() -> Message:
    raise AssertionError("The body is there already")


async def test_what_is_asked_for_again_is_what_it_was(known: dict[bytes, Form]) -> None:
    body = b"grant_type=client_credentials&scope=a+b&resource=https://a.example"
    first, again = await read(body), await read(body)
    assert first == again == Form({"grant_type": "client_credentials", "scope": "a b"}, ("https://a.example",))
    assert list(known) == [body]
    assert (await read(body + b"c")).resources == ("https://a.examplec",)


@pytest.mark.parametrize("name", ["password", "client_secret", "refresh_token", "assertion", "token", "client_id", "x"])
async def test_whoever_says_more_is_not_remembered(name: str, known: dict[bytes, Form]) -> None:
    for body in (f"grant_type=password&{name}=secret", "grant_type=password&secret", f"scope={'a' * 512}", "scope"):
        await read(body.encode())
        assert not known


async def test_not_more_than_so_many(known: dict[bytes, Form]) -> None:
    for number in range(1000):
        await read(b"scope=%d" % number)
        assert len(known) <= 256
