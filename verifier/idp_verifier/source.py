"""The issuer's keys, kept current by the rules of `refresh`, and two more:

- A `kid` that is unknown may belong to a key made in haste, so it leads to one fetch; the next such fetch
  comes after `cooldown` at the earliest, however many forged kids there are.
- Where there is a file for them, keys outlive the process, within the same bound of `max_stale`.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from time import time

from idp_verifier.discovery import find_jwks_uri
from idp_verifier.errors import InvalidKeySet, KeysUnavailable
from idp_verifier.fetch import Fetcher
from idp_verifier.keyfile import KeyFile, KeyRecord
from idp_verifier.keyset import KeySet
from idp_verifier.refresh import Copy, Refresher, freshness

_log = logging.getLogger("idp_verifier")

_MAX_MAX_AGE = 86_400.0


class KeySource(Refresher[KeySet]):
    """The keys of one issuer. `max_stale` is counted, in seconds, from when they were last confirmed."""

    def __init__(
        self,
        issuer: str,
        fetcher: Fetcher,
        *,
        jwks_uri: str | None = None,
        clock: Callable[[], float] = time,
        cooldown: float = 30.0,
        max_stale: float = 86_400.0,
        file: KeyFile | None = None,
    ) -> None:
        super().__init__(f"the JWK Set of {issuer}", clock)
        self._issuer = issuer
        self._fetcher = fetcher
        self._given_uri = self._jwks_uri = jwks_uri
        self._cooldown = cooldown
        self._max_stale = max_stale
        self._searched_at: float | None = None
        self._file = file
        self._jwks = b""
        if file is not None:
            self._restore(file)

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

    def _refreshed(self, before: Copy[KeySet] | None) -> Copy[KeySet]:
        try:
            self._jwks_uri = self._jwks_uri or find_jwks_uri(self._issuer, self._fetcher)
            return self._fetched(self._jwks_uri, before)
        except Exception:
            self._jwks_uri = self._given_uri  # the keys may have moved: ask the metadata again
            raise

    def _fetched(self, url: str, before: Copy[KeySet] | None) -> Copy[KeySet]:
        document = self._fetcher.get(url, before.etag if before else None)
        at, max_age = self._clock(), freshness(document.max_age, ceiling=_MAX_MAX_AGE)
        if document.status == 304 and before is not None:
            record = KeyRecord(self._jwks, before.etag, at, max_age)
        else:
            record = KeyRecord(document.body, document.etag, at, max_age)
        copy = self._copy_of(record, before)
        for reason in copy.value.skipped if document.status == 200 else ():
            _log.info("in the JWK Set of %s, %s is not used", self._issuer, reason)
        self._jwks = record.jwks
        if self._file is not None:
            self._file.write(record)
        return copy

    def _copy_of(self, record: KeyRecord, before: Copy[KeySet] | None = None) -> Copy[KeySet]:
        keyset = KeySet.parse(record.jwks)
        if before is not None:
            keyset = keyset.carrying_over(before.value)
        until = record.at + max(self._max_stale, record.max_age)
        return Copy(keyset, record.etag, record.at, record.max_age, until)

    def _restore(self, file: KeyFile) -> None:
        record = file.read()
        if record is None:
            return
        try:
            copy = self._copy_of(record)
        except InvalidKeySet as problem:
            _log.warning("the keys in the file are not used: %s", problem)
            return
        if record.at > self._clock():  # then nobody knows how old they are, and they could outlive their time
            _log.warning("the keys in the file are not used: they are from the future")
            return
        self.cached, self._jwks = copy, record.jwks

    def _unavailable(self, reason: str) -> KeysUnavailable:
        return KeysUnavailable(f"the issuer's keys are not available: {reason}")
