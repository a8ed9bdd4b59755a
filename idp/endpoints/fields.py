"""The header fields of a request."""

from collections.abc import Sequence

from starlette.requests import Request


def field_values(request: Request, name: bytes) -> Sequence[str]:
    """The values of the field lines of this name, which is in lower case, in their order (RFC 9110 §5.2).

    All are read once, by whoever asks first. `request.headers` would go through them each time.
    """
    fields: dict[bytes, list[str]] | None = request.scope.get("idp.fields")
    if fields is None:
        fields = request.scope["idp.fields"] = {}
        for key, value in request.scope["headers"]:
            if key in fields:
                fields[key].append(value.decode("latin-1"))
            else:
                fields[key] = [value.decode("latin-1")]
    return fields.get(name, ())
