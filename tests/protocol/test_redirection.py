"""R2: what may be registered for redirection; and which texts are the origins that browsers send."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.redirection import is_loopback_host, is_origin, redirect_uri_problem

GOOD = [
    "https://app.example/cb",
    "https://app.example:8443/cb?tenant=1&x=%20",
    "https://app.example",
    "https://[2001:db8::1]/cb",
    "https://xn--bcher-kva.example/",
    "http://localhost/cb",
    "http://localhost:3000/cb",
    "http://127.0.0.1:0/cb",
    "http://127.8.9.1/",
    "http://[::1]:1234/cb",
    "http://app.localhost/cb",
    "com.example.app:/cb",
    "com.example.app://cb",
]

HOSTS_NOT_LOOPBACK = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil-localhost",
    "localhos",
    "localhost.",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "0.0.0.0",
    "10.0.0.1",
    "169.254.169.254",
    "[::]",
    "[::ffff:8.8.8.8]",
    "128.0.0.1",
    "localhost%2eevil.example",
]

SCHEMES_THAT_RUN_OR_READ = [
    "javascript", "JavaScript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "intent",
    "chrome", "resource", "ws", "wss", "ftp", "mailto", "tel", "ssh", "jar", "myapp", "x",
]  # fmt: skip

CHARACTERS = [" ", "\t", "\n", "\r", "\0", "\x1b", "\\", '"', "<", ">", "^", "`", "{", "|", "}", "\x7f", "é", "\u202e"]

PLACES = ["{}https://app.example/cb", "ht{}tps://app.example/cb", "https://app{}.example/cb", "https://app.example/{}cb",
          "https://app.example/cb{}", "https://{}app.example/cb", "com.example.app:/{}"]  # fmt: skip

HOSTILE = [
    *(f"http://{host}{rest}" for host, rest in product(HOSTS_NOT_LOOPBACK, ["", "/cb", ":80/cb"])),
    *(f"{scheme}:{rest}" for scheme, rest in product(SCHEMES_THAT_RUN_OR_READ, ["alert(1)", "//app.example/cb", "/x"])),
    *(place.format(character) for place, character in product(PLACES, CHARACTERS)),
    *(f"https://{user}@{host}/cb" for user, host in product(["u", "u:p", "a.example", ""], ["a.example", "b.example"])),
    *(f"http://localhost{middle}evil.example/cb" for middle in ("@", ":80@", "\\@", "#@", "%40@", ":80#", "\\")),
    "", "/", "/cb", "//app.example/cb", "app.example/cb", "https:", "https:/", "https://", "https:///cb",
    "https:app.example", "https:/app.example/cb", "https://?x", "https://:443/cb", "https://app.example:port/cb",
    "https://app.example:99999/", "https://app.example:-1/", "https://app.example/cb#", "https://app.example/cb#x",
    "https://[::1/cb", "https://::1]/cb", "http:", "http:///cb", "http://:80/", "https\\://app.example/cb",
    "com.example.app:", ":https://app.example", "1https://app.example/cb", "https//app.example", "*", "https",
    "null", "com.example.app:/cb#x", "%68ttps://app.example/cb",
]  # fmt: skip


@pytest.mark.parametrize("uri", GOOD)
def test_these_may_be_registered(uri: str) -> None:
    assert redirect_uri_problem(uri) is None


def test_there_are_hundreds_of_hostile_ones() -> None:
    assert len(set(HOSTILE)) > 250


@pytest.mark.parametrize("uri", HOSTILE, ids=ascii)
def test_r2_these_may_not(uri: str) -> None:
    problem = redirect_uri_problem(uri)
    assert problem
    assert problem.isprintable()


@given(st.text())
def test_no_text_is_too_strange_to_be_judged(text: str) -> None:
    problem = redirect_uri_problem(text)
    assert problem is None or problem.isprintable()
    assert isinstance(is_origin(text), bool)
    assert isinstance(is_loopback_host(text), bool)


@given(st.sampled_from(GOOD[:2]), st.integers(0, 40), st.characters())
def test_one_more_character_never_changes_the_host_unnoticed(uri: str, place: int, character: str) -> None:
    changed = uri[:place] + character + uri[place:]
    if redirect_uri_problem(changed) is None:
        assert changed.isascii()
        assert changed.startswith(("https://", "com.")) or "." in changed.partition(":")[0]


@pytest.mark.parametrize(
    "origin",
    ["https://app.example", "https://app.example:8443", "http://localhost:3000", "https://[2001:db8::1]",
     "http://127.0.0.1", "http://a_b.example", "https://x"],
)  # fmt: skip
def test_these_are_origins(origin: str) -> None:
    assert is_origin(origin)


@pytest.mark.parametrize(
    "text",
    ["", "null", "*", "https://*", "https://*.example", "https://app.example/", "https://app.example:443",
     "http://app.example:80", "https://APP.example", "HTTPS://app.example", "https://u@app.example", "app.example",
     "https://app.example?", "https://app.example#", "https://app.example:", "https://app.example:0443", "ftp://app.example",
     "https://bücher.example", "https://app.example ", " https://app.example", "https://app..example/..", "https://-",
     "https://a b", "file://", "com.example.app://x", "https://app.example\0", "https://app.example, https://b.example"],
)  # fmt: skip
def test_these_are_not(text: str) -> None:
    assert not is_origin(text)
