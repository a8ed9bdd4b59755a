"""Bringing people in from another system, with their password hashes: all of them, or none and every reason why.

Lines are checked and stored batch by batch in one transaction, so neither the file nor the people need fit into
memory; what is kept of each line is the two names by which a later one may repeat it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import uuid4

from idp.directory.people import InvalidRole, checked_roles
from idp.passwords.hashing import parse_foreign
from idp.protocol.audit import Actor, AuditEvent
from idp.protocol.identity import parse_email, parse_username
from idp.store import Aggregates, Store
from idp.store.users import NameTaken, NewUser, Users

MEMBERS = ("email", "username", "password_hash", "roles", "is_active")
"""What a line may say of a person; only `email` it must. Without `password_hash` there is no password to log in by."""

_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Line:
    """What the line with this number says of a person."""

    number: int
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be imported: a sentence that repeats nothing of it that could be secret."""

    number: int
    reason: str


class ImportRefused(Exception):  # noqa: N818 - an answer rather than an error
    """Some lines cannot be imported, so none was; `problems` are in the order of the lines."""

    def __init__(self, problems: Sequence[Problem], lines: int) -> None:
        super().__init__(
            f"{len(problems)} of {lines} lines cannot be imported, so nothing was. Correct them and import again."
        )
        self.problems = problems


def parse_person(members: Mapping[str, Any]) -> NewUser:
    """The person whom a line describes. Raises ValueError with a sentence that shows no hash, whatever column it is in.

    `roles` is a list of strings, `is_active` a boolean; None and "" count as absent.
    """
    check_names(members)
    given = {name: value for name, value in members.items() if value not in (None, "")}
    email = parse_email(_text(given, "email"))
    username = parse_username(_text(given, "username")) if "username" in given else None
    foreign = parse_foreign(_text(given, "password_hash")) if "password_hash" in given else None
    return NewUser(
        id=uuid4(),
        email=email,
        username=username,
        password_hash=foreign.encoded if foreign else None,
        roles=_roles(given.get("roles", [])),
        is_active=_flag(given.get("is_active", True)),
        foreign_cost=foreign.cost if foreign else None,
    )


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError for the first name of a member that is not known.

    It is repeated only if it looks like a name: in a file without a header it is somebody's data.
    """
    for name in names:
        if name not in MEMBERS:
            plain = name.isascii() and name.replace("_", "").isalpha() and len(name) <= 40
            what = f"The member {name}" if plain else "The name of a member"
            raise ValueError(f"{what} is not known; there are: {', '.join(MEMBERS)}.")


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        raise ValueError(f"The member {name} is missing.")
    if not isinstance(value, str):
        raise ValueError(f"The member {name} must be a string.")  # noqa: TRY004 - reported, as everything here
    return value


def _roles(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
        raise ValueError("The member roles must be an array of strings.")
    try:
        return checked_roles(value)
    except InvalidRole:
        raise ValueError("A role must be 1 to 64 letters, digits, '-' or '_'.") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("The member is_active must be true or false.")  # noqa: TRY004 - likewise
    return value


async def import_people(
    store: Store,
    lines: Callable[[], Iterable[Line | Problem]],
    by: Actor,
    *,
    progress: Callable[[], None] = lambda: None,
) -> int:
    """Stores the people of all lines in one transaction, with one audit event. Gives how many they are.

    `lines` begins from the first line at each call, because a transaction that lost against another is tried again.
    `progress` is called after each batch. Raises ImportRefused when any line cannot be imported.
    """

    async def work(store: Aggregates) -> int:
        attempt = _Import(store.users)
        remaining = iter(lines())
        while batch := list(islice(remaining, _BATCH)):
            await attempt.take(batch)
            progress()
        attempt.check()
        await store.audit.add(_event(attempt.lines, by))
        return attempt.lines

    try:
        return await store.transact(work)
    except NameTaken:  # registered between our look and our insert: the next look says on which line
        return await store.transact(work)


@dataclass(slots=True)
class _Import:
    """One attempt: once a line is wrong the others are only checked, for nothing will be stored any more."""

    users: Users
    lines: int = 0
    problems: list[Problem] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    async def take(self, batch: Iterable[Line | Problem]) -> None:
        people = dict(self._acceptable(batch))
        taken = await self.users.taken(people.values())
        for number, person in people.items():
            if names := [what for what, key in _names(person) if key in taken]:
                self.problems.append(Problem(number, f"Taken already: {' and '.join(names)}."))
        if people and not self.problems:
            await self.users.add_all(people.values())

    def _acceptable(self, batch: Iterable[Line | Problem]) -> Iterator[tuple[int, NewUser]]:
        for line in batch:
            self.lines += 1
            if isinstance(line, Problem):
                self.problems.append(line)
                continue
            try:
                person = parse_person(line.members)
                self._remember(person, line.number)
            except ValueError as error:
                self.problems.append(Problem(line.number, str(error)))
            else:
                yield line.number, person

    def _remember(self, person: NewUser, number: int) -> None:
        for what, key in _names(person):
            first = self.seen.setdefault(key, number)
            if first != number:
                raise ValueError(f"The {what} is that of line {first}.")

    def check(self) -> None:
        """Raises ImportRefused."""
        if self.problems:
            raise ImportRefused(sorted(self.problems, key=lambda problem: problem.number), self.lines)


def _names(person: NewUser) -> Iterator[tuple[str, str]]:
    """Keys of addresses have an @, those of usernames have none: they never meet."""
    yield "e-mail address", person.email.key
    if person.username:
        yield "username", person.username.key


def _event(count: int, by: Actor) -> AuditEvent:
    return AuditEvent("users.imported", "success", by.origin, actor=by.id, detail={"count": str(count)})
