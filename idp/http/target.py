"""Who is asked, and for what (RFC 9112 §3.2)."""

import re
from collections.abc import Sequence

import httptools

from idp.http.head import Header

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?")
"""RFC 9110 §7.2."""


def is_addressed(headers: Sequence[Header], version: str) -> bool:
    """Whether there is the one Host that a request must have since HTTP/1.1."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        return not hosts and version == "1.0"
    return _HOST.fullmatch(hosts[0]) is not None


def path_and_query(target: bytes) -> tuple[bytes, bytes]:
    """Of a target in origin form, in asterisk form, or in absolute form, of which the Host header repeats the rest.
    Raises httptools.HttpParserInvalidURLError."""
    if target.startswith(b"/") and b"#" not in target and target.isascii():  # nearly always: parse_url takes its time
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path or b"/", url.query or b""
