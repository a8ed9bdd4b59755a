"""The body of a request, read within a bound."""

from starlette.requests import Request

from idp.endpoints.fields import field_values
from idp.endpoints.whole import BODY
from idp.protocol.errors import InvalidRequestError

MAX_BODY = 64 * 1024
"""Bytes. Nothing that is sent here comes near it."""


def media_type(request: Request) -> str:
    """What the body says that it is, without parameters and in lower case (RFC 9110 §8.3.1)."""
    given = field_values(request.scope, b"content-type")
    return given[0].partition(";")[0].strip().lower() if given else ""


async def read_body(request: Request) -> bytes:
    """The body. Raises InvalidRequestError, with status 413 as soon as it is too long."""
    whole: bytes | None = request.scope.get(BODY)
    if whole is not None:
        return whole
    given = field_values(request.scope, b"content-length")
    if given and int(given[0].lstrip("0") or 0) > MAX_BODY:
        raise _too_large()
    body: bytes = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequestError("The request ended before its body was complete.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return body


def _too_large() -> InvalidRequestError:
    return InvalidRequestError(f"The body must not be larger than {MAX_BODY} bytes.", status_code=413)
