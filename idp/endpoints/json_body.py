"""A JSON object read into typed members, all that is wrong reported together; unknown members are refused."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from starlette.requests import Request

from idp.endpoints.answers import Problem
from idp.endpoints.body import media_type, read_body
from idp.protocol.errors import InvalidRequestError

T = TypeVar("T")
D = TypeVar("D")


class Members:
    """The members of an object. Each is taken once; `finish` refuses what was not taken."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._left = dict(members)
        self._errors: dict[str, str] = {}

    def take(self, name: str, kind: Callable[[Any], T], default: D) -> T | D:
        """The member, checked by `kind`, or `default` when it is absent or null."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            return kind(value)
        except ValueError as error:
            self._errors[name] = str(error)
            return default

    def demand(self, name: str, kind: Callable[[Any], str]) -> str:
        """A text that must be there."""
        if self._left.get(name) is None:
            self._errors[name] = "is required"
        return self.take(name, kind, "")

    def finish(self) -> None:
        """Raises a Problem (422) that names every member that is wrong or unknown."""
        errors = self._errors | dict.fromkeys(self._left, "is not a member that can be set")
        if errors:
            raise Problem(422, "Some members of the object are wrong.", errors=errors)


def text(value: Any) -> str:
    """A string that PostgreSQL can hold."""
    if not isinstance(value, str) or "\0" in value or len(value) > 4096:
        raise ValueError("must be a string of at most 4096 characters, without NUL")
    return value


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 100:
        raise ValueError("must be an array of at most 100 strings")
    return tuple(map(text, value))


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - reported, not raised to the caller
    return value


def json_object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")  # noqa: TRY004 - reported, not raised to the caller
    return value


async def read_members(request: Request) -> Members:
    """Reads the object. Raises a Problem: 415, 413 or 400."""
    if media_type(request) != "application/json":
        raise Problem(415, "The body must be application/json.")
    try:
        body = await read_body(request)
    except InvalidRequestError as error:
        raise Problem(error.status_code, error.description) from None
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(400, "The body is not valid JSON in UTF-8.") from None
    if not isinstance(members, dict):
        raise Problem(400, "The body must be a JSON object.")
    return Members(members)
