"""Libraries: a program of a few lines that calls what the page shows, in a process of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.interop import programs


class Library:
    """Reads a token a line, and answers each with "accepted" or with why not."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def objection(self, token: str) -> str | None:
        assert self._process.stdin
        assert self._process.stdout
        async with self._turn:
            self._process.stdin.write(token.encode() + b"\n")
            verdict = (await self._process.stdout.readline()).decode().strip()
        assert verdict, "the program has ended"
        return None if verdict == "accepted" else verdict


@contextlib.asynccontextmanager
async def library(
    *command: str | Path, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Library]:
    """The program, once it answers. It must not take for a token what is none."""
    async with programs.running(*command, cwd=folder, piped=True, environment=environment) as process:
        program = Library(process)
        assert await program.objection("no token") is not None
        yield program
