"""Tables and bars, for the terminal and for RESULTS.md."""

import statistics
from collections.abc import Iterator, Sequence

from bench.benchmark import OURS, Benchmark, Figures, Round, Verdict, typical

_WIDTH = 30
"""Characters from nothing to the goal."""
_LONGEST = 2 * _WIDTH


def table(rounds: Sequence[Round]) -> str:
    """The median of every figure, a line for each contestant; then ours as ratios to each of the others."""
    rows = {**typical(rounds).figures, **_ratios(rounds)}
    columns = list(dict.fromkeys(column for figures in rows.values() for column in figures))
    lines = [["", *columns], ["---", *["---:"] * len(columns)]]
    for name, figures in rows.items():
        lines.append([name, *(_number(figures[column]) if column in figures else "" for column in columns)])
    return _aligned(lines)


def _ratios(rounds: Sequence[Round]) -> dict[str, Figures]:
    """The median of the rounds' ratios, for all figures that both have; none can be taken to nothing."""
    ours = rounds[0].figures.get(OURS, {})
    return {
        f"{OURS} / {other}": {
            column: statistics.median(measured.ratio(column, OURS, other) for measured in rounds)
            for column in figures
            if column in ours and all(measured.of(other, column) for measured in rounds)
        }
        for other, figures in rounds[0].figures.items()
        if ours and other != OURS
    }


def verdicts(found: Sequence[Verdict]) -> str:
    """What was promised, and what came of it in each round."""
    lines = [["promise", "goal", "median", "", "rounds"], ["---", "---", "---:", "---", "---"]]
    for verdict in found:
        what, goal = verdict.promise.what, str(verdict.promise.goal)
        if not verdict.figures:
            lines.append([what, goal, "", f"not measured without {verdict.missing}", ""])
            continue
        outcome = "kept" if verdict.kept else "**missed**"
        lines.append([what, goal, _number(verdict.median), outcome, " ".join(map(_number, verdict.figures))])
    return _aligned(lines)


def bars(benchmark: Benchmark, found: Sequence[Verdict]) -> Iterator[str]:
    """A line for each promise: how far one got, with the goal at the bar `|`; beyond it is better than promised."""
    for verdict in found:
        what = f"{benchmark.id:<4}{verdict.promise.what:<46}"
        if not verdict.figures:
            yield f"{what}not measured"
            continue
        length = min(round(verdict.promise.goal.attained(verdict.median) * _WIDTH), _LONGEST)
        drawn = list(("#" * length).ljust(_WIDTH + 1))
        drawn[_WIDTH] = "|" if drawn[_WIDTH] == " " else "+"
        yield f"{what}{''.join(drawn)} {_number(verdict.median)} ({verdict.promise.goal})"


def _number(figure: float) -> str:
    """Three digits that count."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.2f}" if figure < 10 else f"{figure:.1f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """A table of Markdown that can be read as it is, too."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    to_right = [cell.endswith(":") for cell in lines[1]]
    shaped = list(zip(widths, to_right, strict=True))
    dashes = ["-" * (width - 1) + ":" if right else "-" * width for width, right in shaped]
    padded = [
        [cell.rjust(width) if right else cell.ljust(width) for cell, (width, right) in zip(line, shaped, strict=True)]
        for line in (lines[0], *lines[2:])
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (padded[0], dashes, *padded[1:]))
