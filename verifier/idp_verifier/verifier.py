"""The verifier that resource services hold: an issuer's keys, kept current, and the checks of a token."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Literal, Self, TypeVar

from idp_verifier.claims import Claims, check, demand_time, not_before
from idp_verifier.dpop import DpopProof, SeenProofs, bound_key, confirm
from idp_verifier.errors import UnknownKey
from idp_verifier.fetch import Fetcher, demand_secure
from idp_verifier.jws import octets_of
from idp_verifier.keyfile import KeyFile
from idp_verifier.keyset import DEFAULT_LEEWAY, KeySet, authenticate
from idp_verifier.results import ResultCache, Verified
from idp_verifier.source import KeySource
from idp_verifier.status import StatusReference, status_reference
from idp_verifier.statuslists import StatusLists, StatusListSource

_T = TypeVar("_T")
_Steps = Generator[Future[None], None, _T]

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
        if not self._audience or "" in self._audience:
            raise ValueError("audience must name this service: without it, tokens for any other would be accepted")
        if not 0 <= leeway <= 300:
            raise ValueError("leeway must be between 0 and 300 seconds")
        if cache_size < 0 or cache_size == 1:
            raise ValueError("cache_size must be 0 or at least 2 tokens")
        if status not in {"auto", "ignore"}:
            raise ValueError("status must be auto or ignore")
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
        octets, digest, claims = self._at_once(token, proof)
        if claims is not None:
            return claims
        steps = self._steps(octets, digest, proof)
        try:
            while True:
                await _wait([next(steps)], self._timeout)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def verify_sync(self, token: str | bytes, proof: DpopProof | None = None) -> Claims:
        """As `verify`, for code without an event loop, which it would block while keys are fetched."""
        octets, digest, claims = self._at_once(token, proof)
        if claims is not None:
            return claims
        steps = self._steps(octets, digest, proof)
        try:
            while True:
                wait_for([next(steps)], timeout=self._timeout)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Ends the background work. Verification goes on with the keys that are there."""
        await _wait(self._end(), self._timeout)

    def close(self) -> None:
        """As `aclose`, for code without an event loop."""
        wait_for(self._end(), timeout=self._timeout)

    def _end(self) -> list[Future[None]]:
        keys = self._source.close()
        return [*self._lists.close(), *([] if keys is None else [keys])]

    def _at_once(self, token: str | bytes, proof: DpopProof | None) -> tuple[bytes, bytes, Claims | None]:
        """The token, its hash, and the claims if it is known and nothing more is needed than to look.

        It never refuses but for a revocation: whatever is not plain is left to `_steps`.
        """
        octets = octets_of(token)
        digest = sha256(octets).digest()
        keys = self._source.fresh()
        known = None if keys is None or proof is not None else self._known(digest, keys)
        if keys is None or known is None or known.jkt is not None:
            return octets, digest, None
        if known.status is not None:
            status_list = self._lists.fresh(known.status.uri, keys)
            if status_list is None:
                return octets, digest, None
            status_list.demand_valid(known.status.idx)
        return octets, digest, known.claims

    def _steps(self, token: bytes, digest: bytes, proof: DpopProof | None) -> _Steps[Claims]:
        """The whole logic, for both faces: yields what to wait for, and returns the claims."""
        verified, keys = yield from self._verified(token, digest)
        if verified.status is not None:
            yield from self._demand_valid(verified.status, keys)
        now = self._clock()
        confirmed = confirm(verified.jkt, proof, now=now, access_token=token)
        if confirmed is not None:
            self._seen.add(confirmed, now=now)  # last, since a proof that is remembered is spent
        return verified.claims

    def _verified(self, token: bytes, digest: bytes) -> _Steps[tuple[Verified, KeySet]]:
        keys = self._source.current()
        if isinstance(keys, Future):
            yield keys
            keys = self._source.settled()
        try:
            return self._check(token, digest, keys), keys
        except UnknownKey:
            fetch = self._source.search()
            if fetch is None and self._source.settled() is keys:
                raise
        if fetch is not None:
            yield fetch
        keys = self._source.settled()
        return self._check(token, digest, keys), keys

    def _demand_valid(self, reference: StatusReference, keys: KeySet) -> _Steps[None]:
        status_list = self._lists.current(reference.uri, keys)
        if isinstance(status_list, Future):
            yield status_list
            status_list = self._lists.settled(reference.uri, self._source.settled())
        status_list.demand_valid(reference.idx)

    def _check(self, token: bytes, digest: bytes, keys: KeySet) -> Verified:
        known = self._known(digest, keys)
        if known is not None:
            return known
        key, members = authenticate(token, keys, typ=_TYPE)
        check(members, issuer=self._issuer, audience=self._audience, typ=_TYPE)
        demand_time(members, self._clock(), self._leeway)
        status = status_reference(members, self._issuer) if self._checks_status else None
        verified = Verified(Claims(members), key, members["exp"], not_before(members), bound_key(members), status)
        self._results.put(digest, verified)
        return verified

    def _known(self, digest: bytes, keys: KeySet) -> Verified | None:
        """What is known of a token, unless `demand_time` would refuse it now."""
        known = self._results.get(digest, keys)
        if known is None:
            return None
        now = self._clock()
        if now - self._leeway < known.exp and known.not_before <= now + self._leeway:
            return known
        self._results.forget(digest)
        return None

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
