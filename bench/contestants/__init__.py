"""What competes: our service, an anchor of our own, and peers. All do the same work, a signed JWT for a client."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.benchmark import Missing
from bench.ground import Ground
from bench.servers import Server

CLIENT = ("bench-client", "a-secret-for-benchmarks-of-43-characters-abc")
AUDIENCE = "https://api.example.com"
SCOPE = "read"


@dataclass(frozen=True, slots=True)
class Contestant:
    """`start` runs it while its block runs, and raises Missing where that cannot be."""

    name: str
    start: Callable[[Ground], AbstractContextManager[Server]]


@contextlib.contextmanager
def running(ground: Ground, contestants: Sequence[Contestant]) -> Iterator[list[Server]]:
    """Starts those that are to be had, names those that are not."""
    with contextlib.ExitStack() as stack:
        servers = []
        for contestant in contestants:
            try:
                servers.append(stack.enter_context(contestant.start(ground)))
            except Missing as missing:
                print(f"    skipped: {contestant.name}: {missing}")
        yield servers
