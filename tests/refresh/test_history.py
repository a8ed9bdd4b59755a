"""The judge of histories finds what it should, and nothing else."""

from pathlib import Path

import pytest

from tests.refresh.history import Attempt, problems, read, write

GOOD = ["0 begun", "0=1", "1=2", "2=3"]


def history(*told: str) -> list[Attempt]:
    """`0=1` presents token 0 and gets token 1, `0!` is refused, `0?` has no answer; each a second after the other.

    `0=1+5` takes five seconds.
    """
    attempts = []
    for second, what in enumerate(told):
        story, _, took = what.partition("+")
        token, successor = story[0], story[2:] if "=" in story else None
        outcome = "begun" if "begun" in story else {"=": "granted", "!": "refused", "?": "unknown"}[story[1]]
        attempts.append(Attempt("f", token, float(second), second + float(took or 0.5), outcome, successor))
    return attempts


@pytest.mark.parametrize(
    "told",
    [
        GOOD,
        [*GOOD, "0!", "3!"],
        ["0 begun", "0?", "0?", "0=1", "1=2"],
        ["0 begun", "0=1", "0=1", "1=2"],
        ["0 begun", "0=1+2", "0=1", "1=2"],
        [*GOOD, "2=3", "3=4"],
        ["0 begun", "0=1", "1?", "0!", "1!"],
        ["0 begun", "0=1", "1=2", "0?", "2!"],
    ],
)
def test_what_may_happen(told: list[str]) -> None:
    assert not list(problems(history(*told)))


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (["0 begun", "0=1", "0=2"], "spent twice"),
        (["0 begun", "0=1+3", "0=2+3"], "spent twice"),
        (["0 begun", "0?", "0=1", "0?", "0=2"], "spent twice"),
        ([*GOOD, "1=2"], "accepted after its successor was used"),
        ([*GOOD, "3!"], "refused though it was good"),
        (["0 begun", "0?", "0!"], "refused though it was good"),
        (["0 begun", "0=1", "1!"], "refused though it was good"),
        (["0 begun", "0=1", "0!"], "refused though it was good"),
        ([*GOOD, "0!", "3=4"], "accepted after a replay"),
        (["0 begun", "0=1", "1=2", "0!", "2=3", "3!"], "accepted after a replay"),
    ],
)
def test_what_may_not(told: list[str], problem: str) -> None:
    assert any(problem in found for found in problems(history(*told)))


def test_families_are_judged_apart(tmp_path: Path) -> None:
    other = [Attempt("g", "0", 0.0, 9.0, "granted", "7")]
    assert not list(problems([*history(*GOOD), *other]))


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = history(*GOOD, "0!")
    write(told, tmp_path / "history")
    assert list(read(tmp_path / "history")) == told
