"""RESULTS.md: a section for each benchmark, each replaced by the command that measures it."""

import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.benchmark import Benchmark
from bench.ground import ROOT

RESULTS = ROOT / "bench" / "RESULTS.md"
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


def circumstances(command: str, busy: float) -> str:
    """What a figure means nothing without. `busy` is how much of the processors others took just before, in percent."""
    where = f"{_processor()}, Python {platform.python_version()}"
    return f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {where}, {busy:.0f} % busy before."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else []
    return f"{len(models)} x {models[0]}" if models else platform.processor()
