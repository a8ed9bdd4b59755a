"""What is measured of a server: the columns of the tables."""

import time
from collections.abc import Sequence

from bench.anchors import Raw, on_all_cores
from bench.benchmark import Figures
from bench.ground import Ground
from bench.load import CONNECTIONS, Report, Request, ask
from bench.servers import Server

RATE = "requests/s"
P50 = "p50 ms"
P99 = "p99 ms"
CPU = "CPU us"
DATABASE_CPU = "PostgreSQL us"
CHEAP_P50 = "cheap GET p50 ms"
CHEAP_P99 = "cheap GET p99 ms"
EFF = "eff"
MEMORY = "MiB/process"
START = "start s"
FIRST_START = "first start s"

_ANCHOR_SECONDS = 1.0
_WARM_UP = 1.0


def raw_figures(raw: Raw) -> Figures:
    return {RATE: raw.rate, CPU: raw.cpu * 1e6}


def raw_signature() -> Raw:
    """Measured beside each busy server, since a machine is not equally fast at all times."""
    return on_all_cores("rsa-sign", _ANCHOR_SECONDS)


def token_figures(ground: Ground, server: Server) -> Figures:
    """What a token costs when everybody wants one, and how much of that is the signature."""
    signature = raw_signature()
    figures = busy_figures(ground, server, server.asked.token)
    return {EFF: signature.cpu * 1e6 / figures[CPU], **figures, START: server.start_seconds}


def busy_figures(ground: Ground, server: Server, request: Request) -> Figures:
    """What a request costs when many callers ask it as fast as they are answered."""
    return measured(ground, server, [request.text()] * CONNECTIONS)[0]


def measured(ground: Ground, server: Server, requests: Sequence[str]) -> tuple[Figures, Report]:
    """A closed loop of these requests: the figures, and what the client reports. Memory is seen in mid-load."""
    before, database_before = server.cpu(), ground.database_cpu()
    load = ask(server.port, requests, ground.seconds)
    time.sleep(ground.seconds / 2)
    memory = server.memory()
    report = load.report()
    spent, database_spent = server.cpu() - before, ground.database_cpu() - database_before
    figures = {
        RATE: report.rate,
        P50: report.p50,
        P99: report.p99,
        CPU: spent / report.count * 1e6,
        DATABASE_CPU: database_spent / report.count * 1e6,
        MEMORY: memory,
    }
    return figures, report


def warm_up(server: Server, request: Request | None = None) -> None:
    """What is only done once is not what is measured."""
    ask(server.port, [(request or server.asked.token).text()] * CONNECTIONS, _WARM_UP).report()
