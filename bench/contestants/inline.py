"""The anchor of our own: 2 workers that sign where they stand, and do nothing else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.contestants import CLIENT, SCOPE, Contestant
from bench.ground import ROOT, Ground
from bench.load import Request, form
from bench.servers import Asked, Server, free_port, started

WORKERS = 2
_ASKED = Asked(
    token=form("/token", CLIENT, grant_type="client_credentials", scope=SCOPE),
    keys=Request("GET", "/keys"),
    cheap=Request("GET", "/health"),
)


@contextmanager
def _start(ground: Ground) -> Iterator[Server]:
    port = free_port()
    program = "bench.contestants.programs.inline_signing:app"
    command = [sys.executable, "-m", "uvicorn", program, "--port", str(port), "--workers", str(WORKERS)]
    quiet = ["--no-access-log", "--log-level", "warning", "--app-dir", str(ROOT)]
    with started(INLINE.name, [*command, *quiet], _ASKED, port=port, folder=ground.folder, processes=WORKERS) as server:
        yield server


INLINE = Contestant("inline signing", _start)
