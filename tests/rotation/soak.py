"""Rotates the keys of a real installation under load, and counts the tokens that verifiers reject: none may be.

    python -m tests.rotation.soak --rotations 20 --kills 4 --rate 60

Every token is verified twice by every verifier: as soon as it was issued, and in the last moment in which a clock
that is behind by IDP_CLOCK_SKEW takes it. Half of the rotations are asked for by hand, the others come by schedule.
In some of them, a process that is drawn by lot is killed at a random moment.

The last line of the output has the counts. The exit code is 1 if a token was rejected.
"""

import argparse
import asyncio
import itertools
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

import psutil  # types-psutil is not among the pins

from tests.rotation.front import Front, Token
from tests.rotation.installation import IDP, PERIOD, SKEW, Installation, installation
from tests.rotation.verifiers import Verifier, patient_verifiers

_TAKERS = 8
_LAST_MOMENT = 0.5
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to do. `rate` is tokens per second, `verifiers` how many there are for each instance.

    `until_rejected` ends the soak with the first rejection.
    """

    rotations: int
    kills: int = 0
    tokens: int = 0
    rate: float = 60.0
    verifiers: int = 1
    until_rejected: bool = False


@dataclass(slots=True)
class Report:
    """What was done, and what came of it. `late` counts verdicts that came when the token had expired meanwhile."""

    tokens: int = 0
    kids: set[str] = field(default_factory=set)
    accepted: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, list[str]] = field(default_factory=dict)
    late: int = 0
    killed: list[str] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0

    @property
    def rotations(self) -> int:
        return len(self.kids) - 1

    @property
    def rejected(self) -> int:
        return sum(map(len, self.rejections.values()))

    def __str__(self) -> str:
        return (
            f"tokens={self.tokens} verifications={sum(self.accepted.values())} rotations={self.rotations} "
            f"kills={len(self.killed)} rejected={self.rejected} late={self.late} retried={self.failures} "
            f"seconds={self.seconds:.0f}"
        )


Progress = Callable[[Report], None]


class Soak:
    """One run. `lot` draws what is left to chance; `progress` is told after each rotation."""

    def __init__(
        self,
        installation: Installation,
        front: Front,
        verifiers: Sequence[Verifier],
        plan: Plan,
        lot: random.Random,
        progress: Progress,
    ) -> None:
        self.report = Report(
            accepted={verifier.name: 0 for verifier in verifiers},
            rejections={verifier.name: [] for verifier in verifiers},
        )
        self._installation = installation
        self._front = front
        self._verifiers = verifiers
        self._plan = plan
        self._lot = lot
        self._progress = progress
        self._queues: list[asyncio.Queue[Token | None]] = []
        self._changed = asyncio.Event()

    async def run(self) -> Report:
        """Raises TimeoutError when no key comes to sign, Unavailable when nobody answers."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for verifier in self._verifiers:
                for moment in (_at_once, _at_last):
                    self._queues.append(asyncio.Queue())
                    group.create_task(self._verify(verifier, self._queues[-1], moment))
            taking = [group.create_task(self._take(place)) for place in range(_TAKERS)]
            await self._conduct(group)
            for task in taking:
                task.cancel()
            for queue in self._queues:
                queue.put_nowait(None)
        self.report.failures = self._front.failures
        self.report.seconds = time.monotonic() - began
        return self.report

    async def _take(self, place: int) -> None:
        """Takes tokens at a steady rate, in step with the other takers, and shows them to all verifiers."""
        pace = _TAKERS / self._plan.rate
        due = time.monotonic() + pace * place / _TAKERS
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + pace, time.monotonic() - pace)  # what an outage cost is not made up for at once
            token = await self._front.token()
            self.report.tokens += 1
            self.report.kids.add(token.kid)
            self._changed.set()
            for queue in self._queues:
                queue.put_nowait(token)

    async def _verify(
        self, verifier: Verifier, tokens: asyncio.Queue[Token | None], moment: Callable[[Token], float]
    ) -> None:
        while token := await tokens.get():
            await asyncio.sleep(max(0.0, moment(token) - time.time()))
            objection = await verifier.objection(token.text)
            if objection is None:
                self.report.accepted[verifier.name] += 1
            elif time.time() >= token.exp + SKEW:
                self.report.late += 1
            else:
                self._reject(verifier, token, objection)

    def _reject(self, verifier: Verifier, token: Token, objection: str) -> None:
        left = token.exp - time.time()
        said = f"{verifier.name}, {left:.1f} s before exp, header {token.header}: {objection}"
        self.report.rejections[verifier.name].append(said)
        self._changed.set()

    async def _conduct(self, group: asyncio.TaskGroup) -> None:
        """The rotations, and the kills in as many of them as planned."""
        deadly = set(self._lot.sample(range(self._plan.rotations), self._plan.kills))
        await self._wait_for(lambda: bool(self.report.kids))
        for number in range(self._plan.rotations):
            done = len(self.report.kids)
            killing = group.create_task(self._kill(self._lot.uniform(0, PERIOD))) if number in deadly else None
            if number % 2 == 0:
                await self._front.rotate()
            await self._wait_for(lambda done=done: len(self.report.kids) > done)  # type: ignore[misc]
            if killing:
                await killing
            if self._plan.until_rejected and self.report.rejected:
                return
            self._progress(self.report)
        await self._wait_for(lambda: self.report.tokens >= self._plan.tokens, patience=None)

    async def _wait_for(self, is_so: Callable[[], bool], patience: float | None = _PATIENCE) -> None:
        async with asyncio.timeout(patience):
            while not (is_so() or (self._plan.until_rejected and self.report.rejected)):
                await self._changed.wait()
                self._changed.clear()

    async def _kill(self, delay: float) -> None:
        """kill -9 of one process of the installation, each being as likely as the others."""
        await asyncio.sleep(delay)
        what, process = self._lot.choice(self._installation.processes())
        with suppress(psutil.NoSuchProcess):
            process.kill()
            self.report.killed.append(what)


def _at_once(token: Token) -> float:
    return 0.0


def _at_last(token: Token) -> float:
    return token.exp + SKEW - _LAST_MOMENT


def _say_nothing(_: Report) -> None: ...


async def soak(
    plan: Plan,
    *,
    workers: int = 2,
    program: Sequence[str] = IDP,
    seed: int | None = None,
    progress: Progress = _say_nothing,
) -> Report:
    """Carries the plan out on two instances, with `plan.verifiers` for each."""
    async with installation(instances=2, workers=workers, program=program) as running:
        with closing(Front(running)) as front, patient_verifiers(running, of_each=plan.verifiers) as verifiers:
            return await Soak(running, front, verifiers, plan, random.Random(seed), progress).run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rotation.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--rotations", type=int, default=20)
    parser.add_argument("--kills", type=int, default=4, help="in how many rotations a random process is killed")
    parser.add_argument("--tokens", type=int, default=0, help="go on until so many tokens were issued")
    parser.add_argument("--rate", type=float, default=60.0, help="tokens per second")
    parser.add_argument("--verifiers", type=int, default=1, help="verifiers per instance")
    parser.add_argument("--workers", type=int, default=2, help="workers of each of the two instances")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="repeats the same draws")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing stays behind then either
    print(f"seed={given.seed}", flush=True)  # noqa: T201
    plan = Plan(
        rotations=given.rotations, kills=given.kills, tokens=given.tokens, rate=given.rate, verifiers=given.verifiers
    )
    report = asyncio.run(soak(plan, workers=given.workers, seed=given.seed, progress=_on_terminal))
    for said in itertools.chain(*report.rejections.values()):
        print(said)  # noqa: T201
    print(f"killed: {dict(Counter(report.killed))}")  # noqa: T201
    print(report)  # noqa: T201
    return 1 if report.rejected else 0


def _on_terminal(report: Report) -> None:
    if sys.stderr.isatty():
        print(report, end="\r", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
