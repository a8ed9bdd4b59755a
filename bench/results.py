"""RESULTS.md: a section for each benchmark, each replaced by the command that measures it."""

import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.benchmark import Benchmark
from bench.ground import ROOT

RESULTS = ROOT / "bench" / "RESULTS.md"
QUIET = 10.0
"""Percent of the processors that others may take before figures are doubted."""
_ENOUGH = {"ROUNDS": 3.0, "SCALE": 1.0}
"""What a result takes: with less, it does not replace one that had more."""
_SECTION = re.compile(r"^## ([BG]\d+) ", re.MULTILINE)
_CHART = re.compile(r"^```\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_PREFACE = """# What was measured

Written by `make bench`, which replaces the section of what it measures. How it is measured: `docs/performance.md`.
Each bar ends where we are, `|` is the goal; a bar beyond it is better than promised.

"""


def write(benchmark: Benchmark, circumstances: str, bars: Sequence[str], text: str, file: Path = RESULTS) -> None:
    """Replaces the section of a benchmark, and draws the chart of all anew."""
    drawn = "".join(f"{line}\n" for line in bars)
    section = (
        f"## {benchmark.id} {benchmark.title}\n\nBeside: {benchmark.anchor}.\n{circumstances}\n\n"
        f"```\n{drawn}```\n\n{text}"
    )
    merged = {**read(file), benchmark.id: section}
    ordered = [merged[name] for name in sorted(merged, key=lambda name: (name[0], int(name[1:])))]
    chart = "".join("".join(_CHART.findall(each)) for each in ordered)
    file.write_text(f"{_PREFACE}```\n{chart}```\n\n" + "\n".join(ordered))


def read(file: Path) -> dict[str, str]:
    """The sections that the file has, by id."""
    if not file.exists():
        return {}
    _, *parts = _SECTION.split(file.read_text())
    return {name: f"## {name} {text}".rstrip("\n") + "\n" for name, text in zip(parts[::2], parts[1::2], strict=True)}


def objection(name: str, command: str, busy: float, file: Path = RESULTS) -> str:
    """Why what `command` measured must not replace the section that the file has; nothing where it may."""
    section = read(file).get(name)
    if section is None:
        return ""
    if busy > QUIET:
        return f"the machine was {busy:.0f} % busy with other things"
    for order, enough in _ENOUGH.items():
        had, has = _ordered(order, section), _ordered(order, command)
        if has < min(had, enough):
            return f"it was measured with {order}={had:g}, and now with {has:g}"
    return ""


def _ordered(order: str, text: str) -> float:
    """What a command was told, or else the default of B10's SCALE, which others do not name."""
    found = re.search(rf" {order}=([\d.]+)", text)
    return float(found[1]) if found else 1.0


def circumstances(command: str, busy: float, peers: str) -> str:
    """What a figure means nothing without. `busy` is how much of the processors others took just before, in percent."""
    where = f"{_processor()}, Python {platform.python_version()}"
    beside = f"\nPeers: {peers}." if peers else ""
    return f"`{command}` at {_commit()}, {datetime.now(UTC):%Y-%m-%d}, {where}, {busy:.0f} % busy before.{beside}"


def _commit() -> str:
    """What was measured, with a `+` where it is not what was committed; RESULTS.md itself is always being changed."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", f":!{RESULTS.relative_to(ROOT)}")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return f"{commit}+" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else []
    return f"{len(models)} x {models[0]}" if models else platform.processor()
