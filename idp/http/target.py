"""Who is asked, and for what (RFC 9112 §3.2)."""

import re
from collections.abc import Mapping, Sequence

import httptools

from idp.http.head import Header

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?")
"""RFC 9110 §7.2."""


def is_addressed(headers: Sequence[Header], fields: Mapping[bytes, bytes], version: str) -> bool:
    """Whether there is the one Host that an HTTP/1.1 request must have. `fields` are the headers, each name once."""
    host = fields.get(b"host")
    if host is None:
        return version == "1.0"
    is_repeated = len(fields) < len(headers) and sum(name == b"host" for name, _ in headers) > 1
    return not is_repeated and _HOST.fullmatch(host) is not None


def path_and_query(target: bytes) -> tuple[bytes, bytes]:
    """Of a target in origin form, in asterisk form, or in absolute form, of which the Host header repeats the rest.
    Raises httptools.HttpParserInvalidURLError."""
    if target.startswith(b"/") and b"#" not in target and target.isascii():  # nearly always: parse_url takes its time
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path or b"/", url.query or b""
