"""The head of an answer: what has been rendered once is remembered, within a bound."""

import pytest

from idp.http import head


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> dict[head.Header, bytes]:
    lines: dict[head.Header, bytes] = {}
    monkeypatch.setattr(head, "_lines", lines)
    return lines


def test_what_is_always_the_same_is_remembered(empty: dict[head.Header, bytes]) -> None:
    for _ in range(2):
        lines, length, is_last = head.rendered(404, [(b"X-Frame-Options", b"DENY"), (b"Content-Length", b"12")])
        assert (lines, length, is_last) == ([b"HTTP/1.1 404 Not Found\r\n", b"x-frame-options: DENY\r\n"], 12, False)
    assert list(empty) == [(b"X-Frame-Options", b"DENY")]


def test_what_never_is_the_same_is_not(empty: dict[head.Header, bytes]) -> None:
    head.rendered(200, [(b"x-request-id", b"abc"), (b"content-length", b"1"), (b"x-long", b"x" * 1000)])
    assert not empty


def test_not_more_than_so_much(empty: dict[head.Header, bytes]) -> None:
    for number in range(3000):
        head.rendered(200, [(b"x-a", b"%d" % number)])
        assert len(empty) <= 1024


@pytest.mark.parametrize("character", [*range(9), *range(10, 32), 127])
@pytest.mark.parametrize("name", [b"x-a", b"x-request-id", b"location"])
def test_no_value_has_a_character_that_commands(name: bytes, character: int) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="no header"):
            head.rendered(200, [(name, b"a" + bytes([character]) + b"b")])


@pytest.mark.parametrize("character", b'\0\t\r\n :()<>@,;\\"/[]?={}\x7f\xe9')
def test_a_name_is_a_token(character: int) -> None:
    with pytest.raises(ValueError, match="no header"):
        head.rendered(200, [(b"x" + bytes([character]), b"a")])


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b" 1", b"1_0", b"0x1", b"1, 1", b"\xb2"])
def test_a_length_is_a_number(value: bytes) -> None:
    with pytest.raises(ValueError, match="no length"):
        head.rendered(200, [(b"content-length", value)])


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600])
def test_only_a_final_status_will_do(status: int) -> None:
    with pytest.raises(KeyError):
        head.rendered(status, [])
