"""`make bench`: measures, prints, and writes RESULTS.md."""

import time
from collections.abc import Sequence

import click
import psutil

from bench import peers, report, results
from bench.benchmark import Benchmark, Round
from bench.ground import Ground, ground
from bench.load import LoadFailed
from bench.registry import BENCHMARKS, ON_DEMAND
from bench.servers import ServerFailed

_LOOK = 1.0
"""Seconds for which others are watched."""


@click.command(context_settings={"max_content_width": 120})
@click.option("--only", default="", help="Ids, separated by commas; all but B10 unless given.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Three or more for a result.")
@click.option("--seconds", default=6.0, show_default=True, help="How long each measurement lasts.")
@click.option("--scale", default=1.0, show_default=True, help="The share of B10's rows.")
@click.option("--write/--no-write", default=True, show_default=True, help="Keep the results in bench/RESULTS.md.")
@click.option("--write-anyway", is_flag=True, help="Even where better ones are replaced.")
def main(only: str, rounds: int, seconds: float, scale: float, write: bool, write_anyway: bool) -> None:
    """Measures the speed promises beside peers and anchors, as ratios."""
    chart, failed = [], []
    for benchmark in _chosen(only):
        click.echo(f"\n{benchmark.id}  {benchmark.title}; beside {benchmark.anchor}")
        busy = psutil.cpu_percent(interval=_LOOK)
        if busy > results.QUIET:
            click.echo(f"    the machine is {busy:.0f} % busy with other things: take the figures for a smoke test")
        try:
            with ground(seconds, scale) as standing:
                measured = _run(benchmark, standing, rounds)
        except (LoadFailed, ServerFailed) as error:
            click.echo(f"    not measured: {error}", err=True)
            failed.append(benchmark.id)
            continue
        found = [promise.judge(measured) for promise in benchmark.promises]
        text = f"{report.verdicts(found)}\n\n{report.table(measured)}\n"
        click.echo(text)
        lines = list(report.bars(benchmark, found))
        chart += lines
        command = _command(benchmark, rounds, seconds, scale)
        objection = "" if write_anyway else results.objection(benchmark.id, command, busy)
        if write and objection:
            click.echo(f"    RESULTS.md keeps what it has of {benchmark.id}: {objection} (--write-anyway replaces it)")
        elif write:
            told = results.circumstances(command, busy, peers.versions(measured[0].figures))
            results.write(benchmark, told, lines, text)
    click.echo("\n".join(chart))
    if failed:
        raise click.ClickException(f"Not measured: {', '.join(failed)}.")


def _chosen(only: str) -> list[Benchmark]:
    names = [name.strip().upper() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise click.UsageError(f"There is no {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    return [BENCHMARKS[name] for name in names or BENCHMARKS if names or name not in ON_DEMAND]


def _command(benchmark: Benchmark, rounds: int, seconds: float, scale: float) -> str:
    """What measures the same again."""
    command = f"make bench ONLY={benchmark.id} ROUNDS={rounds} SECONDS={seconds:g}"
    return f"{command} SCALE={scale:g}" if benchmark.id in ON_DEMAND else command


def _run(benchmark: Benchmark, standing: Ground, rounds: int) -> Sequence[Round]:
    measured = []
    with benchmark.contest(standing) as measure:
        for number in range(1, rounds + 1):
            start = time.monotonic()
            measured.append(measure())
            click.echo(f"    round {number} of {rounds}: {time.monotonic() - start:.0f} s")
    return measured


if __name__ == "__main__":
    main()
