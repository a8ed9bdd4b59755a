"""The header fields of a request."""

from collections.abc import Sequence

from starlette.types import Scope

FIELDS = "idp.fields"
"""Where the scope has the fields by their names, if none of these comes twice: the server has to know that anyway."""


def field_values(scope: Scope, name: bytes) -> Sequence[str]:
    """The values of the field lines of this name, which is in lower case, in their order (RFC 9110 §5.2).

    `request.headers` would go through all of them each time.
    """
    fields = scope.get(FIELDS)
    if fields is None:
        return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    value = fields.get(name)
    return () if value is None else (value.decode("latin-1"),)
