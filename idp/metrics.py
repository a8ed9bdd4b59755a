"""What is measured, as Prometheus counts it. With several workers the sums are over all of them.

`prometheus_client` decides when it is imported whether it counts in memory or in files that the workers share, by
`PROMETHEUS_MULTIPROC_DIR`; `idp serve` sets that before it starts more than one.
"""

import os
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from idp.protocol.authorization import Origin

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def count_in(slot: int) -> None:
    """Has this process count in the files of a slot, where the worker that had it before left off.

    `prometheus_client` would name them after the process: every worker that ever served would leave its own, and each
    scrape would read them all. No two living processes may share a slot. To be called before any `Metrics` is made.
    """
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def forget_worker(slot: int) -> None:
    """Takes a worker that died out of what is measured now; what it counted stays."""
    mark_process_dead(slot)  # type: ignore[no-untyped-call]


class Durations(Histogram):
    """A histogram that takes many observations at a time. Where workers share files, each change of a value is written
    into one, and an observation changes two."""

    def observe_all(self, seconds: Sequence[float]) -> None:
        """What `observe` does, for each of them."""
        self._sum.inc(sum(seconds))
        for bucket, count in Tally(map(partial(bisect_left, self._upper_bounds), seconds)).items():
            self._buckets[bucket].inc(count)


class Metrics:
    """The counters of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "idp_http_requests", "Answers given.", ["route", "method", "status"], registry=registry
        )
        self._seconds = Durations(
            "idp_http_request_seconds",
            "Seconds to the end of the answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        # Looking up what belongs to labels takes longer than counting.
        self._answers: dict[tuple[str, str, int], tuple[Counter, Durations]] = {}
        self._waiting: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
        self._just_issued: defaultdict[str, int] = defaultdict(int)
        self._issued = Counter("idp_tokens_issued", "Access tokens issued.", ["grant_type"], registry=registry)
        self._refused = Counter("idp_tokens_refused", "Token requests refused.", ["error"], registry=registry)
        self._hashes = Gauge(
            "idp_password_hashes",
            "Password hashes in work and waiting.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._audit = Gauge(
            "idp_audit_events_waiting",
            "Audit events not yet written.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def observe(self, route: str, method: str, status: int, seconds: float, _: Origin) -> None:
        """Counts an answer, whoever asked, when there is time for it: `flush` counts many in a fraction of the time."""
        self._waiting[route, method, status].append(seconds)

    def token_issued(self, grant_type: str) -> None:
        """Counts a token, likewise."""
        self._just_issued[grant_type] += 1

    def flush(self) -> None:
        """Counts what waits."""
        issued, self._just_issued = self._just_issued, defaultdict(int)
        for grant_type, count in issued.items():
            self._issued.labels(grant_type).inc(count)
        waiting, self._waiting = self._waiting, defaultdict(list)
        for (route, method, status), taken in waiting.items():
            requests, histogram = self._children(route, method, status)
            requests.inc(len(taken))
            histogram.observe_all(taken)

    def _children(self, route: str, method: str, status: int) -> tuple[Counter, Durations]:
        children = self._answers.get((route, method, status))
        if children is None:
            children = self._requests.labels(route, method, str(status)), self._seconds.labels(route)
            self._answers[route, method, status] = children
        return children

    def token_refused(self, error: str) -> None:
        self._refused.labels(error).inc()

    def depths(self, *, hashes: int, audit: int) -> None:
        """Takes over how full the queues are, and counts what waits."""
        self.flush()
        self._hashes.set(hashes)
        self._audit.set(audit)

    def text(self) -> bytes:
        """The exposition format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
