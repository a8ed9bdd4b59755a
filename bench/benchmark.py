"""What a benchmark is: contestants, each measured once in every round, and promises about their ratios."""

import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.ground import Ground

OURS = "idp"
"""The contestant that the others are beside."""

Figures = Mapping[str, float]
"""What was measured of one contestant in one round, by column: the name of a figure, with its unit."""


class NotMeasured(Exception):  # noqa: N818 - an answer rather than an error
    """A contestant did not take part."""


class Missing(Exception):  # noqa: N818 - likewise
    """A contestant is not to be had on this machine; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of all contestants that took part, by their names."""

    figures: Mapping[str, Figures]

    def of(self, contestant: str, column: str) -> float:
        """Raises NotMeasured."""
        if contestant not in self.figures:
            raise NotMeasured(contestant)
        return self.figures[contestant][column]

    def ratio(self, column: str, contestant: str, anchor: str) -> float:
        """Raises NotMeasured."""
        return self.of(contestant, column) / self.of(anchor, column)


def typical(rounds: Sequence[Round]) -> Round:
    """The median of every figure."""
    return Round(
        {
            contestant: {
                column: statistics.median(measured.of(contestant, column) for measured in rounds) for column in figures
            }
            for contestant, figures in rounds[0].figures.items()
        }
    )


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound, and on which side of it is good."""

    sign: str
    bound: float

    def is_met(self, figure: float) -> bool:
        return bool({">=": operator.ge, "<=": operator.le}[self.sign](figure, self.bound))

    def attained(self, figure: float) -> float:
        """How far one got: 1 at the goal, more beyond it, whichever side is good."""
        return figure / self.bound if self.sign == ">=" else self.bound / figure

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def at_least(bound: float) -> Goal:
    return Goal(">=", bound)


def at_most(bound: float) -> Goal:
    return Goal("<=", bound)


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure of each round, mostly a ratio, and what its median must be."""

    what: str
    goal: Goal
    figure: Callable[[Round], float]

    def judge(self, rounds: Sequence[Round]) -> "Verdict":
        try:
            return Verdict(self, tuple(map(self.figure, rounds)))
        except NotMeasured as missing:
            return Verdict(self, (), str(missing))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a promise: its figure in every round; none if `missing` did not take part."""

    promise: Promise
    figures: tuple[float, ...]
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def kept(self) -> bool:
        return bool(self.figures) and self.promise.goal.is_met(self.median)


Measure = Callable[[], Round]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`contest` sets the contestants up and gives what measures each of them once."""

    id: str
    title: str
    anchor: str
    promises: tuple[Promise, ...]
    contest: Callable[[Ground], AbstractContextManager[Measure]]
