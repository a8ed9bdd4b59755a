"""A form read once, strictly and bounded (RFC 6749 §3.2, Appendix B)."""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote_plus

from starlette.requests import Request

from idp.endpoints.body import media_type, read_body
from idp.protocol.errors import InvalidRequestError
from idp.protocol.record import record

MAX_FIELDS = 64
REPEATABLE = frozenset({"resource", "audience"})
"""The parameters that may come more than once (RFC 8707 §2, RFC 8693 §2.1)."""

_Pair = tuple[str, str, str]  # as `partition` gives them: name, "=", value


@record
class Form:
    """The parameters of a request. Empty ones count as absent (RFC 6749 §3.2)."""

    values: Mapping[str, str]
    resources: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()


async def parse_form(request: Request) -> Form:
    """Reads the body. Raises InvalidRequestError for anything but a well-formed form, 413 in status for a huge one."""
    if media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The body must be application/x-www-form-urlencoded.")
    body = await read_body(request)
    return _known.get(body) or _form(body)


_known: dict[bytes, Form] = {}
"""Forms that were read before and say only what is asked for, which clients ask for again and again: no form that says
who asks, or holds what is to be exchanged."""
_MAX_KNOWN = 256
_MAX_KNOWN_SIZE = 512  # bytes of each
_ASKING = (b"grant_type=", b"scope=", b"resource=", b"audience=")


def _form(body: bytes) -> Form:
    form = _read(body)
    if len(body) <= _MAX_KNOWN_SIZE and all(field.startswith(_ASKING) for field in body.split(b"&")):
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[body] = form
    return form


def _read(body: bytes) -> Form:
    pairs = _pairs(body)
    values = {name: value for name, _, value in pairs}
    resources: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    if not REPEATABLE.isdisjoint(values):
        resources, audiences = _all(pairs, "resource"), _all(pairs, "audience")
        pairs = [pair for pair in pairs if pair[0] not in REPEATABLE]
        values = {name: value for name, _, value in pairs}
    if len(values) < len(pairs):
        raise InvalidRequestError("A parameter is repeated.")
    if "" in values.values():
        values = {name: value for name, value in values.items() if value}
    return Form(values, resources, audiences)


def _all(pairs: Sequence[_Pair], name: str) -> tuple[str, ...]:
    return tuple(value for named, _, value in pairs if named == name and value)


def _pairs(body: bytes) -> Sequence[_Pair]:
    """As `urllib.parse.parse_qsl` reads them, which takes five times as long. Raises InvalidRequestError."""
    try:
        text = body.decode("ascii")
        pairs = [field.partition("=") for field in text.split("&") if field]
        if len(pairs) > MAX_FIELDS:
            raise InvalidRequestError(f"The body has more than {MAX_FIELDS} parameters.")
        if "%00" in text or "\0" in text:
            raise InvalidRequestError("A parameter contains a NUL character.")
        if "%" in text or "+" in text:
            return [(_decoded(name), equals, _decoded(value)) for name, equals, value in pairs]
        return pairs
    except ValueError:  # UnicodeDecodeError is one too
        raise InvalidRequestError("The body is not a well-formed form in UTF-8.") from None


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict")
