"""A document of the issuer, kept current: when to use it, when to fetch it, when to wait for a fetch.

The rules, in the order of their importance:

- One fetch at a time, however many threads and event loops ask (single flight).
- A document is fresh for as long as the issuer said (max-age). From 80 % of that time on, whoever uses it starts
  a fetch without waiting for it, so a busy service never waits again after its first request.
- A document past that time is used only while the issuer is known to be out of reach. Using it without asking
  would keep a revoked key alive in a service that had been idle; asking costs that service one wait.
- Through an outage the last good document goes on for a bounded time. Then it is dropped: who cuts a service off
  from its issuer must not keep a revoked key alive for ever.
- After failures the pauses double, from 1 s to 30 s.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from idp_verifier.errors import Unavailable, VerificationError
from idp_verifier.fetch import FetchError

_log = logging.getLogger("idp_verifier")

_DEFAULT_MAX_AGE = 300.0
"""Seconds, for an answer without Cache-Control: the issuer's own default."""
_MIN_MAX_AGE = 5.0
"""Seconds. With less, no-store included, every token would cost a fetch."""
_DUE_AT = 0.8
_MAX_PAUSE = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Copy(Generic[T]):
    """A document as it was confirmed at `at`, fresh for `max_age` seconds. From `until` on it is used no more.

    Instants are in POSIX seconds.
    """

    value: T
    etag: str | None
    at: float
    max_age: float
    until: float

    # A negative age means that the clock was set back: then nothing is known about the time since.

    def is_fresh(self, now: float) -> bool:
        return 0 <= now - self.at < self.max_age

    def is_due(self, now: float) -> bool:
        return not 0 <= now - self.at < self.max_age * _DUE_AT

    @property
    def due_at(self) -> float:
        return self.at + self.max_age * _DUE_AT

    def is_usable(self, now: float) -> bool:
        return now < self.until


def freshness(*stated: float | None, ceiling: float) -> float:
    """For how many seconds a document is fresh, by whatever was stated about it: the least, within bounds."""
    known = [seconds for seconds in stated if seconds is not None]
    return min(max(min(known, default=_DEFAULT_MAX_AGE), _MIN_MAX_AGE), ceiling)


@dataclass(frozen=True, slots=True)
class Outage:
    """Failed fetches in a row: how many, the last one's instant and reason."""

    failures: int
    at: float
    reason: str

    def is_pausing(self, now: float) -> bool:
        return 0 <= now - self.at < min(_MAX_PAUSE, 2.0 ** (self.failures - 1))


class Refresher(ABC, Generic[T]):
    """One document, for any number of threads and event loops at once.

    `cached` is the last good copy, be it fresh or not. Methods never block. Where there is something to wait for they
    return a future that ends, without a result and never with an exception, when the fetch under way has ended; then
    ask again with `settled`.
    """

    def __init__(self, what: str, clock: Callable[[], float]) -> None:
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self.cached: Copy[T] | None = None
        self._outage: Outage | None = None
        self._in_flight: Future[None] | None = None
        self._closed = False

    @abstractmethod
    def _refreshed(self, before: Copy[T] | None) -> Copy[T]:
        """Fetches, in a thread of its own. Raises FetchError or VerificationError."""

    @abstractmethod
    def _unavailable(self, reason: str) -> Unavailable:
        """What is raised where there is no document to use."""

    def fresh(self, now: float) -> T | None:
        """The document, if there is nothing to be said against its use."""
        cached = self.cached
        return None if cached is None or cached.is_due(now) else cached.value

    def current(self) -> T | Future[None]:
        """The document to use now, or what to wait for. Raises Unavailable if waiting makes no sense."""
        now = self._clock()
        fresh = self.fresh(now)
        if fresh is not None:
            return fresh
        with self._lock:
            cached, outage = self.cached, self._outage  # a fetch may have ended since the look above
            if (cached is not None and not cached.is_due(now)) or (outage is not None and outage.is_pausing(now)):
                return self.settled()
            fetch = self._fetch()
        known_outage = outage is not None
        if cached is not None and (cached.is_fresh(now) or (known_outage and cached.is_usable(now))):
            return cached.value
        return fetch or self.settled()

    def settled(self) -> T:
        """The document to use after a wait, or in an outage. Raises Unavailable if there is none."""
        cached, outage = self.cached, self._outage
        if cached is not None and cached.is_usable(self._clock()):
            return cached.value
        raise self._unavailable(outage.reason if outage else "the issuer is too slow, or the verifier is closed")

    def drop(self, value: T) -> None:
        """Forgets the document, if it is still `value`: it has turned out to be worth nothing."""
        with self._lock:
            if self.cached is not None and self.cached.value is value:
                self.cached = None

    def close(self) -> Future[None] | None:
        """No fetch begins from now on. Returns the one under way, if there is one."""
        with self._lock:
            self._closed = True
            return self._in_flight

    def _fetch(self) -> Future[None] | None:
        """With the lock held: starts a fetch, unless one is under way. None if this is closed."""
        if self._in_flight is None and not self._closed:
            self._in_flight = fetch = Future[None]()
            fetch.set_running_or_notify_cancel()  # who stops waiting must not cancel it for the others
            # A daemon: a process that ends does not wait for its issuer.
            threading.Thread(target=self._run, args=(fetch,), name="idp-verifier-fetch", daemon=True).start()
        return self._in_flight

    def _run(self, fetch: Future[None]) -> None:
        cached, outage = self.cached, None
        try:
            cached = self._refreshed(cached)
        except (FetchError, VerificationError) as problem:
            outage = self._failed(str(problem))
        except Exception as defect:  # noqa: BLE001 - no defect may leave later requests waiting for ever
            outage = self._failed(repr(defect))
        with self._lock:
            self.cached, self._outage, self._in_flight = cached, outage, None
        fetch.set_result(None)

    def _failed(self, reason: str) -> Outage:
        failures = self._outage.failures + 1 if self._outage else 1
        _log.warning("%s could not be fetched (%d in a row): %s", self._what, failures, reason)
        return Outage(failures, self._clock(), reason)
