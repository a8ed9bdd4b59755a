"""A form read once, strictly and bounded (RFC 6749 §3.2, Appendix B)."""

from collections.abc import Mapping
from urllib.parse import unquote_plus

from starlette.requests import Request

from idp.endpoints.body import media_type, read_body
from idp.protocol.errors import InvalidRequestError
from idp.protocol.record import record

MAX_FIELDS = 64
REPEATABLE = frozenset({"resource", "audience"})
"""The parameters that may come more than once (RFC 8707 §2, RFC 8693 §2.1)."""


@record
class Form:
    """The parameters of a request. Empty ones count as absent (RFC 6749 §3.2)."""

    values: Mapping[str, str]
    repeated: Mapping[str, tuple[str, ...]]

    @property
    def resources(self) -> tuple[str, ...]:
        return self.repeated.get("resource", ())

    @property
    def audiences(self) -> tuple[str, ...]:
        return self.repeated.get("audience", ())


async def parse_form(request: Request) -> Form:
    """Reads the body. Raises InvalidRequestError for anything but a well-formed form, 413 in status for a huge one."""
    if media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The body must be application/x-www-form-urlencoded.")
    return _form(await read_body(request))


def _form(body: bytes) -> Form:
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    empty = False
    for name, value in _pairs(body):
        if "\0" in name or "\0" in value:
            raise InvalidRequestError("A parameter contains a NUL character.")
        if name in REPEATABLE:
            if value:
                repeated.setdefault(name, []).append(value)
        elif name in values:
            raise InvalidRequestError("A parameter is repeated.")
        else:
            values[name] = value
            empty = empty or not value
    if empty:
        values = {name: value for name, value in values.items() if value}
    return Form(values, {name: tuple(found) for name, found in repeated.items()} if repeated else {})


def _pairs(body: bytes) -> list[tuple[str, str]]:
    """As `urllib.parse.parse_qsl` reads them, which takes five times as long. Raises InvalidRequestError."""
    try:
        text = body.decode("ascii")
        split = [field.partition("=") for field in text.split("&") if field]
        if len(split) > MAX_FIELDS:
            raise InvalidRequestError(f"The body has more than {MAX_FIELDS} parameters.")
        if "%" in text or "+" in text:
            return [(_decoded(name), _decoded(value)) for name, _, value in split]
        return [(name, value) for name, _, value in split]
    except ValueError:  # UnicodeDecodeError is one too
        raise InvalidRequestError("The body is not a well-formed form in UTF-8.") from None


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict")
