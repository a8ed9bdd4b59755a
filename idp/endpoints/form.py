"""A form read once, strictly and bounded (RFC 6749 §3.2, Appendix B)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from starlette.requests import Request

from idp.endpoints.body import media_type, read_body
from idp.protocol.errors import InvalidRequestError

MAX_FIELDS = 64
REPEATABLE = frozenset({"resource", "audience"})
"""The parameters that may come more than once (RFC 8707 §2, RFC 8693 §2.1)."""


@dataclass(frozen=True, slots=True)
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
    try:
        pairs = [*_pairs(body.decode("ascii"))]
    except ValueError:  # UnicodeDecodeError is one too
        raise InvalidRequestError("The body is not a well-formed form in UTF-8.") from None
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidRequestError("A parameter contains a NUL character.")
        if name in REPEATABLE:
            if value:
                repeated.setdefault(name, []).append(value)
        elif name in values:
            raise InvalidRequestError("A parameter is repeated.")
        else:
            values[name] = value
    return Form(
        {name: value for name, value in values.items() if value},
        {name: tuple(found) for name, found in repeated.items()},
    )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """As `urllib.parse.parse_qsl` reads them, which takes five times as long. Raises ValueError."""
    fields = text.split("&")
    if len(fields) > MAX_FIELDS:
        raise ValueError(f"more than {MAX_FIELDS} fields")
    decode = _decoded if "%" in text or "+" in text else str
    for field in filter(None, fields):
        name, _, value = field.partition("=")
        yield decode(name), decode(value)


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict")
