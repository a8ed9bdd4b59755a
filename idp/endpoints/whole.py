"""What our server has in addition to ASGI, for requests and answers that are whole: most are.

The scope says so, by an extension (ASGI, "Extensions") and by a key of ours, so that with any other server all goes
the usual way.
"""

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

ANSWER = "idp.answer"
"""A message that is all of an answer. In ASGI there are two of them, and each passes every layer.

It has a `status`, a `body` and, in two tuples, headers: what all answers of a kind have in common in `headers`, what
this one has alone in `own`. How long the body is goes without saying."""
BODY = "idp.body"
"""Where the scope has the body of the request, if it has come in and is no longer than any that is read here."""

EXTENSIONS: Mapping[str, Mapping[str, Any]] = {ANSWER: {}}

HEADED = frozenset({"http.response.start", ANSWER})
"""The messages that have the status and the headers of an answer."""


def takes_answers(scope: Scope) -> bool:
    """Whether the server takes such messages."""
    return ANSWER in scope.get("extensions", ())
