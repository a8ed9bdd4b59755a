"""The issuer's Token Status Lists, each kept current by the rules of `refresh`.

A list is fetched when the first token comes that names it; that request waits, those that follow do not. It is
fresh for its `ttl`, or for what HTTP says if that is less, and through an outage it goes on until its `exp`.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from idp_verifier.errors import StatusUnavailable, UnknownKey
from idp_verifier.fetch import Fetcher
from idp_verifier.jwk import VerificationKey
from idp_verifier.keyset import authenticate
from idp_verifier.refresh import Copy, Refresher, freshness
from idp_verifier.source import KeySource
from idp_verifier.status import MAX_LIST_TOKEN_OCTETS, StatusList, read_status_list

_TYPE = "statuslist+jwt"
_MAX_LISTS = 64
"""No honest issuer spreads its living tokens over more. It bounds memory, with the size of a list."""
_MAX_TTL = 3_600.0
"""Seconds: how long a revocation goes unnoticed at most, whatever ttl is stated, if the issuer can be reached."""

_Keys = Mapping[str, VerificationKey]


class StatusListSource(Refresher[StatusList]):
    """The list at `uri`. `leeway` and `max_stale`, for a list without `exp`, are in seconds."""

    def __init__(
        self,
        uri: str,
        *,
        issuer: str,
        keys: KeySource,
        fetcher: Fetcher,
        clock: Callable[[], float],
        leeway: float,
        max_stale: float,
    ) -> None:
        super().__init__(f"the status list {uri}", clock)
        self._uri = uri
        self._issuer = issuer
        self._keys = keys
        self._fetcher = fetcher
        self._leeway = leeway
        self._max_stale = max_stale

    def _refreshed(self, before: Copy[StatusList] | None) -> Copy[StatusList]:
        if before is not None and not before.is_usable(self._clock()):
            before = None  # a 304 could not bring it back to life
        document = self._fetcher.get(
            self._uri,
            before.etag if before else None,
            accept=f"application/{_TYPE}",
            max_octets=MAX_LIST_TOKEN_OCTETS,
        )
        now = self._clock()
        if document.status == 304 and before is not None:
            status_list, etag = before.value, before.etag
        else:
            status_list, etag = self._read(document.body, now), document.etag
        until = now + self._max_stale if status_list.exp is None else status_list.exp
        max_age = freshness(status_list.ttl, document.max_age, ceiling=min(_MAX_TTL, until - now))
        return Copy(status_list, etag, now, max_age, until)

    def _read(self, token: bytes, now: float) -> StatusList:
        key, members = self._authenticated(token)
        return read_status_list(key, members, issuer=self._issuer, uri=self._uri, now=now, leeway=self._leeway)

    def _authenticated(self, token: bytes) -> tuple[VerificationKey, Mapping[str, object]]:
        try:
            return authenticate(token, self._keys.settled(), typ=_TYPE, max_octets=MAX_LIST_TOKEN_OCTETS)
        except UnknownKey:
            fetch = self._keys.search()
            if fetch is not None:
                fetch.result()  # this is a thread of our own, and every fetch ends
        return authenticate(token, self._keys.settled(), typ=_TYPE, max_octets=MAX_LIST_TOKEN_OCTETS)

    def _unavailable(self, reason: str) -> StatusUnavailable:
        return StatusUnavailable(f"the status list of the token is not available: {reason}")


class StatusLists:
    """All lists that tokens have named, made by `open_list` when they are first needed."""

    def __init__(self, open_list: Callable[[str], StatusListSource]) -> None:
        self._open_list = open_list
        self._lock = threading.Lock()
        self._sources: dict[str, StatusListSource] = {}
        self._closed = False

    def fresh(self, uri: str, keys: _Keys) -> StatusList | None:
        """The list, if there is nothing to be said against its use."""
        source = self._sources.get(uri)
        held = None if source is None else source.fresh()
        return held if held is not None and keys.get(held.key.kid) is held.key else None

    def current(self, uri: str, keys: _Keys) -> StatusList | Future[None]:
        """The list to use now, or what to wait for. Raises StatusUnavailable if waiting makes no sense."""
        source = self._source(uri)
        held = source.current()
        if isinstance(held, StatusList) and keys.get(held.key.kid) is not held.key:
            # Its key was taken back: whoever has that key could have signed it.
            source.drop(held)
            return source.current()
        return held

    def settled(self, uri: str, keys: _Keys) -> StatusList:
        """The list to use after a wait. Raises StatusUnavailable if there is none."""
        held = self._source(uri).settled()
        if keys.get(held.key.kid) is not held.key:
            raise StatusUnavailable("the status list of the token was signed with a key that is published no more")
        return held

    def close(self) -> list[Future[None]]:
        """No fetch begins from now on. Returns those under way."""
        with self._lock:
            self._closed = True
            return [fetch for source in self._sources.values() if (fetch := source.close()) is not None]

    def _source(self, uri: str) -> StatusListSource:
        with self._lock:
            source = self._sources.get(uri)
            if source is None:
                if len(self._sources) >= _MAX_LISTS:
                    del self._sources[next(iter(self._sources))]
                source = self._sources[uri] = self._open_list(uri)
                if self._closed:
                    source.close()
            return source
