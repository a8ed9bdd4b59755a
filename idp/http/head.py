"""The head of an answer, as it goes over the wire (RFC 9112 §4, §5)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

Header = tuple[bytes, bytes]

LAST = b"connection: close\r\n"
"""Says that no other answer follows on this connection (RFC 9112 §9.6)."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 §5.6.2."""
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value may contain: with a line break it would begin a header of its own (RFC 9110 §5.5, CWE-113)."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode()
    for status in range(200, 600)  # what precedes them is no final answer (RFC 9110 §15.2)
}

_lines: dict[Header, bytes] = {}
"""Headers that were rendered before: nearly all are the same in each answer."""
_MAX_LINES = 1024
_MAX_LINE = 512
_CHANGING = frozenset({b"x-request-id", b"location"})
"""Headers that are hardly ever the same twice."""
_OURS = frozenset({b"connection", b"transfer-encoding"})
"""Headers that are not the application's to send: they are about the connection (RFC 9110 §7.6.1, RFC 9112 §6.1)."""


def rendered(status: int, headers: Iterable[Header]) -> tuple[list[bytes], int | None, bool]:
    """The lines of a head, but for those that say where the content ends and whether anything follows it. What the
    headers say of that comes by itself: how long the content is, and whether this answer is to be the last. Raises
    ValueError, or KeyError for what is no final status."""
    lines, length, is_last = [_STATUS_LINES[status]], None, False
    known = _lines.get
    for header in headers:
        line = known(header)
        if line is None:
            name, value = header
            name = name.lower()
            if name == b"content-length":
                length = _length(value)
                continue
            if name in _OURS:
                is_last = is_last or (name == b"connection" and b"close" in value.lower())
                continue
            line = header_line(name, value)
            if name not in _CHANGING and len(line) <= _MAX_LINE:
                _remember(header, line)
        lines.append(line)
    return lines, length, is_last


@lru_cache(256)
def common_head(status: int, headers: tuple[Header, ...]) -> tuple[bytes, bool]:
    """What heads have in common that go with answer after answer, and whether these are to be the last. Raises as
    `rendered` does, and ValueError if the headers say how long the content is."""
    lines, length, is_last = rendered(status, headers)
    if length is not None:
        raise ValueError("These are not for one answer alone")
    return b"".join(lines), is_last


def header_line(name: bytes, value: bytes) -> bytes:
    """One header. Raises ValueError."""
    if not (name in _CHANGING or _TOKEN.fullmatch(name)) or not (value.isalnum() or not _CONTROL.search(value)):
        raise ValueError(f"This is no header: {name!r}")
    return b"%b: %b\r\n" % (name, value)


def _length(value: bytes) -> int:
    if not value.isdigit():
        raise ValueError(f"This is no length: {value!r}")
    return int(value)


def _remember(header: Header, line: bytes) -> None:
    if len(_lines) >= _MAX_LINES:
        _lines.clear()
    _lines[header] = line
