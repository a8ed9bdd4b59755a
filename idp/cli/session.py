"""One piece of work on an installation's directories, from opening to closing."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from idp.cli.directories import Directories, directories
from idp.cli.installation import opened
from idp.cli.output import run
from idp.settings import Settings

T = TypeVar("T")


def on_directories(data_dir: Path | None, work: Callable[[Directories], Awaitable[T]]) -> T:
    """Runs `work` on the installation that `data_dir` and the environment name.

    Ask people before, not in `work`: there Ctrl-C takes effect only when the loop comes round. Raises what `opened`,
    `directories` and `work` raise.
    """
    with opened(data_dir) as settings:
        return run(_performed(settings, work))


async def _performed(settings: Settings, work: Callable[[Directories], Awaitable[T]]) -> T:
    async with directories(settings) as directory:
        return await work(directory)
