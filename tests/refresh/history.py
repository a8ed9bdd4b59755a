"""Judges a history of refreshes by what clients saw, and nothing else.

    python -m tests.refresh.history FILE

A history is one JSON object a line: `family` and `token` name what was presented; `sent` and `came` are when, on the
client's clock; `outcome` is `granted` (with the `successor`), `refused`, or `unknown` when no answer came, which may
have had any effect or none. The first line of a family, `begun`, brings its first token. Clients are honest: they
present a token again only until they have sent its successor. When one does so after all, that is a replay.

The exit code is 1 when there is a problem.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One presentation of a token, or the beginning of a family."""

    family: str
    token: str
    sent: float
    came: float
    outcome: str
    successor: str | None = None


def problems(history: Iterable[Attempt]) -> Iterator[str]:
    """All that should not have happened, a sentence each."""
    families: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in history:
        families[attempt.family].append(attempt)
    for name, attempts in families.items():
        yield from (f"family {name}: {problem}" for problem in _Family(attempts).problems())


class _Family:
    """The attempts on one family. A token may have several attempts, and must have one successor."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self.attempts = [attempt for attempt in attempts if attempt.outcome != "begun"]
        self.granted = [attempt for attempt in self.attempts if attempt.outcome == "granted"]
        self.successors: dict[str, set[str | None]] = defaultdict(set)
        for attempt in self.granted:
            self.successors[attempt.token].add(attempt.successor)
        self.replays = [attempt for attempt in self.attempts if self._is_replay(attempt)]

    def problems(self) -> Iterator[str]:
        yield from self._spent_twice()
        yield from self._accepted_after_use()
        yield from self._lost()
        yield from self._survived()

    def _spent_twice(self) -> Iterator[str]:
        for token, successors in self.successors.items():
            if len(successors) > 1:
                yield f"{token} was spent twice, for {successors}"

    def _accepted_after_use(self) -> Iterator[str]:
        """The successor was used, and that was acknowledged, before the token was sent once more."""
        for attempt in self.granted:
            used = [other.came for other in self.granted if other.token in self.successors[attempt.token]]
            if min(used, default=_NEVER) < attempt.sent:
                yield f"{attempt.token} was accepted after its successor was used"

    def _lost(self) -> Iterator[str]:
        """Nobody had replayed anything: what was acknowledged is gone, and somebody must log in again."""
        first = min((replay.sent for replay in self.replays), default=_NEVER)
        for attempt in self.attempts:
            if attempt.outcome == "refused" and attempt.came < first:
                yield f"{attempt.token} was refused though it was good"

    def _survived(self) -> Iterator[str]:
        """Once a replay is refused, nothing of the family is good any more."""
        first = min((replay.came for replay in self.replays if replay.outcome == "refused"), default=_NEVER)
        for attempt in self.granted:
            if attempt.sent > first:
                yield f"{attempt.token} was accepted after a replay"

    def _is_replay(self, attempt: Attempt) -> bool:
        """The token was sent after its successor had been."""
        successors = self.successors[attempt.token]
        return any(other.token in successors and other.sent < attempt.sent for other in self.attempts)


def write(history: Iterable[Attempt], file: Path) -> None:
    file.write_text("".join(json.dumps(asdict(attempt)) + "\n" for attempt in history))


def read(file: Path) -> Iterator[Attempt]:
    with file.open() as lines:
        for line in lines:
            yield Attempt(**json.loads(line))


def main() -> int:
    found = list(problems(read(Path(sys.argv[1]))))
    for problem in found:
        print(problem)  # noqa: T201
    print(f"problems={len(found)}")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
