"""The body of a request, read within a bound."""

from starlette.requests import ClientDisconnect, Request

from idp.protocol.errors import InvalidRequestError

MAX_BODY = 64 * 1024
"""Bytes. Nothing that is sent here comes near it."""


def media_type(request: Request) -> str:
    """What the body says that it is, without parameters and in lower case (RFC 9110 §8.3.1)."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    """The body. Raises InvalidRequestError, with status 413 as soon as it is too long."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise _too_large()
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY:
                raise _too_large()
            chunks.append(chunk)
    except ClientDisconnect:
        raise InvalidRequestError("The request ended before its body was complete.") from None
    return b"".join(chunks)


def _too_large() -> InvalidRequestError:
    return InvalidRequestError(f"The body must not be larger than {MAX_BODY} bytes.", status_code=413)
