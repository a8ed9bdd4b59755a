"""The issuer's keys, kept current: when to use them, when to fetch, when to wait for a fetch.

The rules, in the order of their importance:

- One fetch at a time, however many threads and event loops ask (single flight).
- Keys are fresh for as long as the issuer said (max-age). From 80 % of that time on, whoever uses them starts
  a fetch without waiting for it, so a busy service never waits for keys again after its first request.
- Keys past that time are used only while the issuer is known to be out of reach. Using them without asking
  would keep a revoked key alive in a service that had been idle; asking costs that service one wait.
- Through an outage the last good keys go on for `max_stale` after they were last confirmed. Then they are
  dropped: who cuts a service off from its issuer must not keep a revoked key alive for ever.
- A `kid` that is unknown may belong to a key made in haste, so it leads to one fetch; the next such fetch
  comes after `cooldown` at the earliest, however many forged kids there are.
- After failures the pauses double, from 1 s to 30 s.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from time import time

from idp_verifier.discovery import find_jwks_uri
from idp_verifier.errors import InvalidKeySet, KeysUnavailable
from idp_verifier.fetch import Fetcher, FetchError
from idp_verifier.keyset import KeySet

_log = logging.getLogger("idp_verifier")

_DEFAULT_MAX_AGE = 300.0
"""Seconds, for an answer without Cache-Control: the issuer's own default."""
_MIN_MAX_AGE = 5.0
"""Seconds. With less, no-store included, every token would cost a fetch."""
_MAX_MAX_AGE = 86_400.0
_DUE_AT = 0.8
_MAX_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class CachedKeys:
    """Keys as they were confirmed at `at` (POSIX seconds), fresh for `max_age` seconds."""

    keyset: KeySet
    etag: str | None
    at: float
    max_age: float

    # A negative age means that the clock was set back: then nothing is known about the time since.

    def is_fresh(self, now: float) -> bool:
        return 0 <= now - self.at < self.max_age

    def is_due(self, now: float) -> bool:
        return not 0 <= now - self.at < self.max_age * _DUE_AT

    def is_usable(self, now: float, max_stale: float) -> bool:
        return now - self.at < max(max_stale, self.max_age)


@dataclass(frozen=True, slots=True)
class Outage:
    """Failed fetches in a row: how many, the last one's instant and reason."""

    failures: int
    at: float
    reason: str

    def is_pausing(self, now: float) -> bool:
        return 0 <= now - self.at < min(_MAX_PAUSE, 2.0 ** (self.failures - 1))


class KeySource:
    """The keys of one issuer, for any number of threads and event loops at once.

    Methods never block. Where there is something to wait for they return a future that ends, without a result
    and never with an exception, when the fetch under way has ended; then ask again with `settled`.
    """

    def __init__(
        self,
        issuer: str,
        fetcher: Fetcher,
        *,
        jwks_uri: str | None = None,
        clock: Callable[[], float] = time,
        cooldown: float = 30.0,
        max_stale: float = 86_400.0,
    ) -> None:
        self._issuer = issuer
        self._fetcher = fetcher
        self._given_uri = self._jwks_uri = jwks_uri
        self._clock = clock
        self._cooldown = cooldown
        self._max_stale = max_stale
        self._lock = threading.Lock()
        self._cached: CachedKeys | None = None
        self._outage: Outage | None = None
        self._in_flight: Future[None] | None = None
        self._searched_at: float | None = None
        self._closed = False

    def current(self) -> KeySet | Future[None]:
        """The keys to use now, or what to wait for. Raises KeysUnavailable if waiting makes no sense."""
        now = self._clock()
        cached = self._cached
        if cached is not None and not cached.is_due(now):
            return cached.keyset
        with self._lock:
            cached, outage = self._cached, self._outage  # a fetch may have ended since the look above
            if (cached is not None and not cached.is_due(now)) or (outage is not None and outage.is_pausing(now)):
                return self.settled()
            fetch = self._fetch()
        known_outage = outage is not None
        if cached is not None and (cached.is_fresh(now) or (known_outage and cached.is_usable(now, self._max_stale))):
            return cached.keyset
        return fetch or self.settled()

    def settled(self) -> KeySet:
        """The keys to use after a wait, or in an outage. Raises KeysUnavailable if there are none."""
        cached, outage = self._cached, self._outage
        if cached is not None and cached.is_usable(self._clock(), self._max_stale):
            return cached.keyset
        reason = outage.reason if outage else "the issuer is too slow, or the verifier is closed"
        raise KeysUnavailable(f"the issuer's keys are not available: {reason}")

    def search(self) -> Future[None] | None:
        """What to wait for when a kid is unknown; None if the issuer was asked a moment ago."""
        now = self._clock()
        with self._lock:
            if self._outage is not None and self._outage.is_pausing(now):
                return None
            if self._searched_at is not None and 0 <= now - self._searched_at < self._cooldown:
                return self._in_flight
            self._searched_at = now
            return self._fetch()

    def close(self) -> Future[None] | None:
        """No fetch begins from now on. Returns the one under way, if there is one."""
        with self._lock:
            self._closed = True
            return self._in_flight

    def _fetch(self) -> Future[None] | None:
        """With the lock held: starts a fetch, unless one is under way. None if the source is closed."""
        if self._in_flight is None and not self._closed:
            self._in_flight = fetch = Future[None]()
            fetch.set_running_or_notify_cancel()  # who stops waiting must not cancel it for the others
            # A daemon: a process that ends does not wait for its issuer.
            threading.Thread(target=self._run, args=(fetch,), name="idp-verifier-fetch", daemon=True).start()
        return self._in_flight

    def _run(self, fetch: Future[None]) -> None:
        cached, outage = self._cached, None
        try:
            cached = self._refreshed(cached)
        except (FetchError, InvalidKeySet) as problem:
            outage = self._failed(str(problem))
        except Exception as defect:  # noqa: BLE001 - no defect may leave later requests waiting for ever
            outage = self._failed(repr(defect))
        with self._lock:
            self._cached, self._outage, self._in_flight = cached, outage, None
        fetch.set_result(None)

    def _refreshed(self, before: CachedKeys | None) -> CachedKeys:
        self._jwks_uri = self._jwks_uri or find_jwks_uri(self._issuer, self._fetcher)
        document = self._fetcher.get(self._jwks_uri, before.etag if before else None)
        stated = _DEFAULT_MAX_AGE if document.max_age is None else document.max_age
        now, max_age = self._clock(), min(max(stated, _MIN_MAX_AGE), _MAX_MAX_AGE)
        if document.status == 304 and before is not None:
            return replace(before, at=now, max_age=max_age)
        keyset = KeySet.parse(document.body)
        for reason in keyset.skipped:
            _log.info("in the JWK Set of %s, %s is not used", self._issuer, reason)
        return CachedKeys(keyset, document.etag, now, max_age)

    def _failed(self, reason: str) -> Outage:
        failures = self._outage.failures + 1 if self._outage else 1
        self._jwks_uri = self._given_uri  # the keys may have moved: ask the metadata again
        _log.warning("the keys of %s could not be fetched (%d in a row): %s", self._issuer, failures, reason)
        return Outage(failures, self._clock(), reason)
