"""`python -m tests.operation.idle COUNT SLOT`: workers that do nothing. That of the slot cannot start."""

import signal
import sys
from collections.abc import Callable

import click

from idp import log
from idp.cli.workers import Workers


def main(count: int, failing: int) -> int:
    def work(slot: int, ready: Callable[[], None]) -> int:
        if slot == failing:
            return 1
        ready()
        signal.pause()
        return 0

    log.configure("json", "INFO")
    return Workers(count, work, sockets=(), bury=lambda _: None).run(lambda: click.echo("all idle"))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
