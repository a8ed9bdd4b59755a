"""Requests whose head has come before: on a connection that goes on, clients send the same one over and over.

A parser gives for the same bytes, from the same state, the same each time. So what it gave the last time is kept, and
for the same bytes it is not asked again: reading a head takes a good part of what a cheap answer does.
"""

from starlette.types import Scope

from idp.endpoints.fields import FIELDS

_HEAD_END = b"\r\n\r\n"
_LONGEST = 4096
"""Bytes of a head that is kept, for as long as its connection is open."""


class KnownHead:
    """A head, and the scope that it gave, before any application has seen that."""

    __slots__ = ("_scope", "_size", "_text")

    def __init__(self, text: bytes, content: int, scope: Scope) -> None:
        self._text = text
        self._size = len(text) + content
        self._scope = scope

    def body_in(self, piece: bytes) -> bytes | None:
        """The body of the request, if the piece is this head and all of the body that it announces, and no more."""
        if len(piece) == self._size and piece.startswith(self._text):
            return piece[len(self._text) :]
        return None

    def scope(self) -> Scope:
        """For another request. Nobody changes the lists in it."""
        return {**self._scope}


def known_head(piece: bytes, scope: Scope) -> KnownHead | None:
    """That of a request which has come in this piece, with nothing before it; None if its body is not as long as the
    head says, be it that something follows, be it that it comes in chunks (RFC 9112 §6.3)."""
    fields = scope.get(FIELDS)
    if fields is None:
        return None
    head = piece.find(_HEAD_END) + len(_HEAD_END)
    if head > _LONGEST:
        return None
    content = int(fields.get(b"content-length", b"0"))  # the parser has seen to it that this is a number
    return KnownHead(piece[:head], content, {**scope}) if head + content == len(piece) else None
