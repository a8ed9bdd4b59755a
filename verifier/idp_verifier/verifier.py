"""The verifier that resource services hold: an issuer's keys, kept current, and the checks of a token."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from functools import partial
from types import TracebackType
from typing import Literal, Self

from idp_verifier.claims import Claims, check, demand_time, not_before
from idp_verifier.dpop import DpopProof, SeenProofs, bound_key, confirm
from idp_verifier.errors import ExpiredToken, UnknownKey
from idp_verifier.fetch import Fetcher, demand_secure
from idp_verifier.jws import text_of
from idp_verifier.keyfile import KeyFile
from idp_verifier.keyset import DEFAULT_LEEWAY, KeySet, authenticate
from idp_verifier.passes import Passes
from idp_verifier.results import ResultCache, Verified
from idp_verifier.source import KeySource
from idp_verifier.status import status_reference
from idp_verifier.statuslists import StatusLists, StatusListSource

_TYPE = "at+jwt"


class Verifier:
    """Verifies the access tokens of one issuer (RFC 9068 §4). Make one per process, and share it.

        verifier = Verifier(issuer="https://id.example.com", audience="https://api.example.com")
        claims = await verifier.verify(token)

    `audience` is what this service is called, by one name or several. `jwks_uri` is taken from the issuer's
    metadata unless given. `clock` returns POSIX seconds. In seconds are `leeway`, how far the issuer's clock
    may differ; `timeout`, the most that a request waits for a fetch; `cooldown`, the least between two
    fetches caused by unknown kids; `max_stale`, how long the last keys are used while the issuer is out of
    reach. `tls` is for issuers with a private certificate authority.

    `cache_size` is how many verified tokens are remembered, so that a repeated one costs next to nothing; 0
    turns that off. `cache_file` is where the keys outlive the process, for a start during an outage. `status`
    says what becomes of a token that names a Token Status List: `auto` looks it up there, `ignore` does not.

    Nothing is fetched before the first token comes. Threads and event loops may share one verifier.
    """

    def __init__(
        self,
        issuer: str,
        audience: str | Collection[str],
        *,
        jwks_uri: str | None = None,
        leeway: float = DEFAULT_LEEWAY,
        clock: Callable[[], float] = time.time,
        allow_http: bool = False,
        timeout: float = 5.0,
        cooldown: float = 30.0,
        max_stale: float = 86_400.0,
        cache_size: int = 4_096,
        cache_file: str | os.PathLike[str] | None = None,
        status: Literal["auto", "ignore"] = "auto",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ValueError if an argument makes no sense, or a URL is not https."""
        for url in (issuer, jwks_uri):
            if url is not None:
                demand_secure(url, allow_http=allow_http)
        self._issuer = issuer
        self._audience = frozenset({audience} if isinstance(audience, str) else audience)
        _demand_sense(self._audience, leeway, cache_size, status)
        self._leeway = leeway
        self._clock = clock
        self._timeout = timeout
        self._checks_status = status == "auto"
        self._results = ResultCache(cache_size)
        self._seen = SeenProofs()
        fetcher = Fetcher(timeout, allow_http, tls or ssl.create_default_context())
        self._source = KeySource(
            issuer,
            fetcher,
            jwks_uri=jwks_uri,
            clock=clock,
            cooldown=cooldown,
            max_stale=max_stale,
            file=None if cache_file is None else KeyFile(cache_file, issuer, jwks_uri),
        )
        self._lists = StatusLists(
            partial(
                StatusListSource,
                issuer=issuer,
                keys=self._source,
                fetcher=fetcher,
                clock=clock,
                leeway=leeway,
                max_stale=max_stale,
            )
        )

    async def verify(self, token: str | bytes, proof: DpopProof | None = None) -> Claims:
        """The claims of `token`, if it is good now and for this service. Raises VerificationError.

        A token that is bound to a key (RFC 9449) needs the `proof` that came with the request.
        """
        claims = self.verify_at_once(token, proof)
        if claims is not None:
            return claims
        steps = self._steps(token, proof)
        try:
            while True:
                await _wait([next(steps)], self._timeout)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def verify_sync(self, token: str | bytes, proof: DpopProof | None = None) -> Claims:
        """As `verify`, for code without an event loop, which it would block while keys are fetched."""
        claims = self.verify_at_once(token, proof)
        if claims is not None:
            return claims
        steps = self._steps(token, proof)
        try:
            while True:
                wait_for([next(steps)], timeout=self._timeout)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def verify_at_once(self, token: str | bytes, proof: DpopProof | None = None) -> Claims | None:
        """As `verify`, but None if something has to be fetched first: then nothing was decided, so ask `verify`.

        It is the way of nearly all tokens, and costs no coroutine.
        """
        now = self._clock()
        keys = self._source.fresh(now)
        if keys is None:
            return None
        try:
            verified = self._verified(token, keys, now)
        except UnknownKey:
            return None
        if verified.status is not None:
            status_list = self._lists.fresh(verified.status.uri, keys, now)
            if status_list is None:
                return None
            status_list.demand_valid(verified.status.idx)
        if proof is None and verified.jkt is None:
            return verified.claims
        return self._confirmed(verified, token, proof)

    def passes(self) -> Passes:
        """A memory for one face, of what came to it; never more than `cache_size`."""
        return Passes(self._results, self._source, self._clock)

    async def aclose(self) -> None:
        """Ends the background work. Verification goes on with the keys that are there."""
        await _wait(self._end(), self._timeout)

    def close(self) -> None:
        """As `aclose`, for code without an event loop."""
        wait_for(self._end(), timeout=self._timeout)

    def _end(self) -> list[Future[None]]:
        keys = self._source.close()
        return [*self._lists.close(), *([] if keys is None else [keys])]

    def _steps(self, token: str | bytes, proof: DpopProof | None) -> Generator[Future[None], None, Claims]:
        """As `verify_at_once`, where something may have to be fetched: yields what to wait for."""
        keys = self._source.current()
        if isinstance(keys, Future):
            yield keys
            keys = self._source.settled()
        try:
            verified = self._verified(token, keys, self._clock())
        except UnknownKey:
            fetch = self._source.search()
            if fetch is None and self._source.settled() is keys:
                raise
            if fetch is not None:
                yield fetch
            keys = self._source.settled()
            verified = self._verified(token, keys, self._clock())
        if verified.status is not None:
            status_list = self._lists.current(verified.status.uri, keys)
            if isinstance(status_list, Future):
                yield status_list
                status_list = self._lists.settled(verified.status.uri, self._source.settled())
            status_list.demand_valid(verified.status.idx)
        return self._confirmed(verified, token, proof)

    def _verified(self, token: str | bytes, keys: KeySet, now: float) -> Verified:
        """What is known of the token, or what its signature and claims now make known."""
        text = text_of(token)
        known = self._results.get(text, keys)
        verified = self._authenticated(text, keys) if known is None else known
        try:
            demand_time(verified.exp, verified.not_before, now, self._leeway)
        except ExpiredToken:
            self._results.forget(text)
            raise
        if known is None:
            self._results.put(text, verified)
        return verified

    def _authenticated(self, token: str, keys: KeySet) -> Verified:
        key, members = authenticate(token, keys, typ=_TYPE)
        check(members, issuer=self._issuer, audience=self._audience, typ=_TYPE)
        status = status_reference(members, self._issuer) if self._checks_status else None
        return Verified(Claims(members), key, members["exp"], not_before(members), bound_key(members), status)

    def _confirmed(self, verified: Verified, token: str | bytes, proof: DpopProof | None) -> Claims:
        """The last step, since a proof that is remembered is spent."""
        if proof is not None or verified.jkt is not None:
            now = self._clock()
            self._seen.add(confirm(verified.jkt, proof, now=now, access_token=token), now=now)
        return verified.claims

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _wait(fetches: list[Future[None]], seconds: float) -> None:
    # asyncio.wait, because it neither raises at the end of its time nor cancels what others wait for too
    if fetches:
        await asyncio.wait([asyncio.wrap_future(fetch) for fetch in fetches], timeout=seconds)


def _demand_sense(audience: Collection[str], leeway: float, cache_size: int, status: str) -> None:
    """Raises ValueError for arguments with which a verifier would be wrong without a sign of it."""
    if not audience or "" in audience:
        raise ValueError("audience must name this service: without it, tokens for any other would be accepted")
    if not 0 <= leeway <= 300:
        raise ValueError("leeway must be between 0 and 300 seconds")
    if cache_size < 0 or cache_size == 1:
        raise ValueError("cache_size must be 0 or at least 2 tokens")
    if status not in {"auto", "ignore"}:
        raise ValueError("status must be auto or ignore")
