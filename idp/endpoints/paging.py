"""Long lists, a page at a time: `?after=` the last seen, `?limit=` at most so many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request

from idp.endpoints.answers import Problem

Cursor = TypeVar("Cursor")
Item = TypeVar("Item")
DEFAULT, MOST = 100, 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[Cursor]):
    """What part of a list was asked for."""

    after: Cursor | None
    limit: int

    def body(
        self, name: str, found: Sequence[Item], record: Callable[[Item], Any], cursor: Callable[[Item], str]
    ) -> dict[str, Any]:
        """The answer, from one item more than asked for: whether it is there says whether there is a next page."""
        shown = found[: self.limit]
        following = cursor(shown[-1]) if len(found) > self.limit else None
        return {name: [record(item) for item in shown], "next": following}


def page_of(request: Request, parse: Callable[[str], Cursor]) -> Page[Cursor]:
    """Reads the query. Raises a Problem (422)."""
    after, limit = request.query_params.get("after"), request.query_params.get("limit", str(DEFAULT))
    if not _is_number(limit, digits=len(str(MOST))) or not 1 <= int(limit) <= MOST:
        raise Problem(422, f"limit is a number from 1 to {MOST}.", errors={"limit": "is out of range"})
    try:
        return Page(parse(after) if after else None, int(limit))
    except ValueError:
        raise Problem(422, "after is not a cursor of this list.", errors={"after": "is malformed"}) from None


def plain_text(value: str) -> str:
    """A cursor that is any text that PostgreSQL can hold. Raises ValueError."""
    if "\0" in value:
        raise ValueError("NUL")
    return value


def positive(value: str) -> int:
    """A cursor that is a number. Raises ValueError."""
    if not _is_number(value, digits=18):
        raise ValueError(value)
    return int(value)


def _is_number(text: str, *, digits: int) -> bool:
    """Whether `int` may have it: Python refuses to convert thousands of digits, for they take quadratic time."""
    return text.isascii() and text.isdigit() and len(text) <= digits
