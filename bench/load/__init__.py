"""Clients that measure: each a process of its own, so that what they cost is not counted with the service."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.http import Request, form

__all__ = ["CONNECTIONS", "Asking", "LoadFailed", "Report", "Request", "ask", "form", "trickle"]

CONNECTIONS = 32
"""How many ask at once where a server is to be busy."""
_TOLERATED = 0.001
"""The share of bad answers above which a round proves nothing."""


class LoadFailed(Exception):  # noqa: N818 - what failed is the load
    """A server did not answer as it should; the message has an example."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a client saw: good answers, and latencies in milliseconds, each from the first time that it asked.

    `shed` counts how often the patient were told to come again. `requests` are those that were asked, with the refresh
    tokens that they have now.
    """

    count: int
    seconds: float
    p50: float
    p99: float
    shed: int
    requests: tuple[str, ...]

    @property
    def rate(self) -> float:
        return self.count / self.seconds


class Asking:
    """A client at work. `report` waits for its end."""

    def __init__(self, **orders: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load.client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin
        json.dump(orders, self._process.stdin)
        self._process.stdin.close()

    def report(self) -> Report:
        """Raises LoadFailed when more than a thousandth of the answers were not good."""
        assert self._process.stdout
        written = self._process.stdout.read()
        if self._process.wait():
            raise LoadFailed("the client that measures has failed; see above")
        seen = json.loads(written)
        if seen["failures"] > _TOLERATED * seen["count"]:
            raise LoadFailed(f"{seen['failures']} bad answers beside {seen['count']} good ones: {seen['failure']}")
        return Report(
            count=seen["count"],
            seconds=seen["seconds"],
            p50=seen["p50"] * 1000,
            p99=seen["p99"] * 1000,
            shed=seen["shed"],
            requests=tuple(seen.get("requests", ())),
        )


def ask(port: int, requests: Sequence[str], seconds: float, *, patient: bool = False) -> Asking:
    """A closed loop: some callers, at most CONNECTIONS, ask one request (its text) after the other, over and over.

    The patient come again when a busy server says so; to others that is a failure.
    """
    callers = min(CONNECTIONS, len(requests))
    return Asking(port=port, requests=requests, callers=callers, seconds=seconds, patient=patient)


def trickle(port: int, request: Request, seconds: float, rate: float = 200) -> Asking:
    """An open loop: `rate` requests a second, whatever the server does. For latencies, not for load."""
    return Asking(port=port, request=request.text(), seconds=seconds, rate=rate)
