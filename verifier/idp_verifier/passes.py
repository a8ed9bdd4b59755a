"""Tokens that come again to a face: what is left to do for one is to look it up, at the clock, and at the keys.

In a server the code of a check is never as warm as in a loop: each function on its way costs some half a microsecond
there. So the way of nearly all requests is here as a whole.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from idp_verifier.claims import Claims
from idp_verifier.keyset import KeySet
from idp_verifier.refresh import Copy
from idp_verifier.results import ResultCache
from idp_verifier.source import KeySource


class Pass(NamedTuple):
    """A good verdict that nothing but time and new keys can change.

    It stands from `since` until `until`, in POSIX seconds, while `keys` is the copy that the verifier goes by. All of
    it is in one tuple, which is taken apart at once; `scopes` and `roles` are those of the claims.
    """

    claims: Claims
    scopes: frozenset[str]
    roles: tuple[str, ...]
    keys: Copy[KeySet]
    since: float
    until: float


class Passes:
    """Authorization fields (RFC 9110 §11.6.2) that were good, as they came. Threads may share it.

    It decides nothing of its own: where a pass does not stand, the request takes the long way, which knows why. There
    are about as many as tokens in `results` at the most; when it is full it begins anew, and so it does when the keys
    were fetched again, since no pass of before stands then.
    """

    def __init__(self, results: ResultCache, source: KeySource, clock: Callable[[], float]) -> None:
        self._results = results
        self._source = source
        self._clock = clock
        self._passes: dict[str | bytes | None, Pass] = {}
        self._keys: Copy[KeySet] | None = None  # of the latest pass

    def __len__(self) -> int:
        return len(self._passes)

    def claims(self, authorization: str | bytes | None, scopes: Collection[str], role: str | None) -> Claims | None:
        """The claims behind a field that has a pass for `scopes` and `role`; None says nothing about it."""
        known = self._passes.get(authorization)
        if known is None:
            return None
        claims, granted, roles, keys, since, until = known
        if keys is not self._source.cached or not since <= self._clock() < until:
            self._passes.pop(authorization, None)
            return None
        return claims if granted.issuperset(scopes) and (role is None or role in roles) else None

    def add(self, authorization: str | bytes, token: str) -> None:
        """Remembers a field that by itself lets in: as the bearer of `token`, which was found to be good.

        A token with a status, or bound to a key, gets no pass: other things have to be looked at each time.
        """
        keys, now = self._source.cached, self._clock()
        verified = None if keys is None else self._results.get(token, keys.value)
        if keys is None or verified is None or verified.status is not None or verified.jkt is not None:
            return
        # No leeway: it makes a pass shorter than the verdict, and leaves the last seconds to who counts them exactly.
        since, until = max(verified.not_before, keys.at), min(verified.exp, keys.due_at)
        if not since <= now < until:
            return
        if keys is not self._keys or len(self._passes) >= self._results.size:
            self._passes.clear()
            self._keys = keys
        claims = verified.claims
        self._passes[authorization] = Pass(claims, claims.scopes, claims.roles, keys, since, until)
