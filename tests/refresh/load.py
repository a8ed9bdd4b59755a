"""Refreshes of a real installation under load and under kill -9. What clients saw becomes a history (`history.py`).

    python -m tests.refresh.load --service-kills 10 --database-kills 5 [--history FILE]

The last line of the output has the counts. The exit code is 1 if the history has a problem.
"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from idp.cli.directories import directories
from tests import builders
from tests.refresh import history
from tests.refresh.beginning import REFRESHING, begun, families_on, person
from tests.refresh.callers import Caller, Refreshed
from tests.refresh.history import Attempt
from tests.rotation.installation import IDP, Installation, installation
from tests.service import settings_for

SERVICE, DATABASE = ("instance", "worker"), ("postmaster", "postgres backend")
_CLIENTS = 12
_FAMILIES_OF_EACH = 4
_BETWEEN_KILLS = 60
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many processes of the service and of PostgreSQL are killed, in random order."""

    service_kills: int
    database_kills: int


@dataclass(slots=True)
class Report:
    """What was done, and what clients saw of it."""

    attempts: list[Attempt] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(attempt.outcome for attempt in self.attempts)

    @property
    def problems(self) -> list[str]:
        return list(history.problems(self.attempts))

    def __str__(self) -> str:
        killed = ", ".join(f"{what} {count}" for what, count in sorted(Counter(self.killed).items()))
        return (
            f"granted={self.outcomes['granted']} refused={self.outcomes['refused']} unknown={self.outcomes['unknown']} "
            f"killed: {killed}; problems={len(self.problems)} seconds={self.seconds:.0f}"
        )


@dataclass(slots=True)
class Kept:
    """A family as its client keeps it: the tokens that it was given, oldest first."""

    name: str
    tokens: list[str]
    ended: bool = False


class Load:
    """One run, on an installation that is up."""

    def __init__(self, running: Installation, callers: Sequence[Caller], families: Sequence[Kept], plan: Plan) -> None:
        self.report = Report()
        self._running = running
        self._callers = itertools.cycle(callers)
        self._families = families
        self._plan = plan
        self._grants = 0
        self._granted = asyncio.Condition()
        self._done = False

    async def run(self) -> Report:
        """Raises TimeoutError when no refresh succeeds for long."""
        began = time.monotonic()
        for family in self._families:
            self._note(family, family.tokens[0], 0.0, "begun")
        async with asyncio.TaskGroup() as group:
            for number in range(_CLIENTS):
                group.create_task(self._refresh_on(self._families[number::_CLIENTS]))
            await self._kill_all()
            self._done = True
        await asyncio.gather(*map(self._finish, self._families))
        self.report.seconds = time.monotonic() - began
        return self.report

    async def _refresh_on(self, mine: Sequence[Kept]) -> None:
        """An honest client: it lets no answer go that may still come."""
        while not self._done:
            family = random.choice(mine)
            if family.ended:
                await asyncio.sleep(0.1)
            elif random.random() < 0.1:  # two tabs of one browser
                await asyncio.gather(self._turn(family), self._turn(family))
            else:
                await self._turn(family)

    async def _turn(self, family: Kept) -> None:
        """Presents the current token until an answer comes."""
        token = family.tokens[-1]
        answer = None
        while answer is None:
            answer = await self._present(family, token)
        if answer.successor is None:
            family.ended = True
        elif answer.successor not in family.tokens:
            family.tokens.append(answer.successor)
            self._grants += 1
        async with self._granted:
            self._granted.notify_all()

    async def _present(self, family: Kept, token: str) -> Refreshed | None:
        """None when no answer came, or one that says that it may come later."""
        sent = time.monotonic()
        try:
            answer = await next(self._callers).refresh(token)
        except ConnectionError:
            answer = None
        if answer is None or answer.status >= 500:
            self._note(family, token, sent, "unknown")
            await asyncio.sleep(0.05)
            return None
        self._note(family, token, sent, "granted" if answer.successor else "refused", answer.successor)
        return answer

    async def _finish(self, family: Kept) -> None:
        """The last token is good. Then the first is replayed, and none is."""
        await self._turn(family)
        if len(family.tokens) > 2 and not family.ended:
            for token in (family.tokens[0], family.tokens[-1]):
                while await self._present(family, token) is None:
                    pass

    async def _kill_all(self) -> None:
        kinds = [SERVICE] * self._plan.service_kills + [DATABASE] * self._plan.database_kills
        random.shuffle(kinds)
        for kind in kinds:
            await self._refreshes(_BETWEEN_KILLS)
            await asyncio.sleep(random.uniform(0, 0.5))
            await self._kill(kind)
        await self._refreshes(_BETWEEN_KILLS)

    async def _refreshes(self, count: int) -> None:
        """Waits for so many more of them, or until nobody is logged in any more."""
        wanted = self._grants + count
        async with asyncio.timeout(_PATIENCE), self._granted:
            await self._granted.wait_for(
                lambda: self._grants >= wanted or all(family.ended for family in self._families)
            )

    async def _kill(self, kind: Sequence[str]) -> None:
        """kill -9 of one such process; waits until there is one."""
        while True:
            found = [(what, process) for what, process in self._running.processes() if what in kind]
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                what, process = random.choice(found)
                process.kill()
                self.report.killed.append(what)
                return
            await asyncio.sleep(0.05)

    def _note(self, family: Kept, token: str, sent: float, outcome: str, successor: str | None = None) -> None:
        named = successor and _name(successor)
        self.report.attempts.append(Attempt(family.name, _name(token), sent, time.monotonic(), outcome, named))


def _name(token: str) -> str:
    """What a history calls a token: it is no secret, and short."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


async def load(plan: Plan, *, workers: int = 2, program: Sequence[str] = IDP) -> Report:
    """Carries the plan out on two instances."""
    async with installation(instances=2, workers=workers, program=program) as running:
        async with directories(settings_for(running.dsn)) as directory:
            client = await builders.client(directory, **REFRESHING)
            families = await families_on(directory.store)
            tokens = [
                await begun(families, client.client, await person(directory.store))
                for _ in range(_CLIENTS * _FAMILIES_OF_EACH)
            ]
        with contextlib.ExitStack() as stack:
            callers = [
                stack.enter_context(contextlib.closing(Caller(instance.url, client))) for instance in running.instances
            ]
            kept = [Kept(f"f{number}", [token]) for number, token in enumerate(tokens)]
            return await Load(running, callers, kept, plan).run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.refresh.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--service-kills", type=int, default=10)
    parser.add_argument("--database-kills", type=int, default=5)
    parser.add_argument("--history", type=Path, help="where to write what clients saw")
    given = parser.parse_args()
    report = asyncio.run(load(Plan(service_kills=given.service_kills, database_kills=given.database_kills)))
    if given.history:
        history.write(report.attempts, given.history)
    for problem in report.problems:
        print(problem)  # noqa: T201
    print(report)  # noqa: T201
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
