"""The header fields of a request."""

from starlette.requests import Request


def field_values(request: Request, name: bytes) -> list[str]:
    """The values of each field line of this name, which is in lower case, in their order (RFC 9110 §5.2).

    `request.headers` would encode the name, and build an object to look it up in, each time.
    """
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]
