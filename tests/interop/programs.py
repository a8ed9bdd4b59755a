"""Programs of others, run while a block runs. What is not to be had here raises Missing, with a sentence."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

_BIN = Path(sys.executable).parent
_HERE = Path(__file__).parent
_PLACES = os.pathsep.join([str(_BIN), os.environ["PATH"], "/usr/local/sbin", "/usr/sbin"])
"""Python packages bring programs along; Debian keeps servers out of an ordinary user's PATH."""
_PATIENCE = 240.0
_GRACE = 30.0


class Missing(Exception):  # noqa: N818 - a fact about the machine
    """A program is not to be had here."""


def found(program: str) -> Path:
    """Where the program is. Raises Missing."""
    path = shutil.which(program, path=_PLACES)
    if path is None:
        raise Missing(f"{program} is not installed")
    return Path(path)


@contextlib.asynccontextmanager
async def running(
    *command: str | Path, cwd: Path, piped: bool = False, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a program while the block runs, then ends it."""
    pipe = asyncio.subprocess.PIPE if piped else None
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, "PATH": _PLACES, **(environment or {})}, stdin=pipe, stdout=pipe
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """A supervisor gets the time to end those whom it started."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _GRACE)
        except TimeoutError:
            process.kill()
    await process.wait()


async def obtain(*command: str | Path, cwd: Path) -> None:
    """Runs a program that gets what a product needs from others. Raises Missing when that is not to be had."""
    what = " ".join(map(str, command))
    async with running(*command, cwd=cwd) as process:
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            raise Missing(f"{what} did not end within {_PATIENCE:g} s") from None
    if process.returncode:
        raise Missing(f"{what} failed")


async def node_modules() -> Path:
    """The folder with what package-lock.json names, installed once, whoever of several processes comes first.

    Raises Missing where npm cannot.
    """
    named = _HERE / "package-lock.json"
    installed = _HERE / "node_modules" / ".package-lock.json"
    with named.open() as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < named.stat().st_mtime:
            await obtain(found("npm"), "ci", "--prefer-offline", "--loglevel=error", cwd=_HERE)
    return installed.parent
