"""The verifier that resource services hold: an issuer's keys, kept current, and the checks of a token."""

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from types import TracebackType
from typing import Self

from idp_verifier.claims import Claims
from idp_verifier.errors import UnknownKey
from idp_verifier.fetch import Fetcher, demand_secure
from idp_verifier.keyset import DEFAULT_LEEWAY, KeySet, verify_token
from idp_verifier.source import KeySource

_Steps = Generator[Future[None], None, Claims]


class Verifier:
    """Verifies the access tokens of one issuer (RFC 9068 §4). Make one per process, and share it.

        verifier = Verifier(issuer="https://id.example.com", audience="https://api.example.com")
        claims = await verifier.verify(token)

    `audience` is what this service is called, by one name or several. `jwks_uri` is taken from the issuer's
    metadata unless given. `clock` returns POSIX seconds. In seconds are `leeway`, how far the issuer's clock
    may differ; `timeout`, the most that a request waits for a fetch; `cooldown`, the least between two
    fetches caused by unknown kids; `max_stale`, how long the last keys are used while the issuer is out of
    reach. `tls` is for issuers with a private certificate authority.

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
        self._leeway = leeway
        self._clock = clock
        self._timeout = timeout
        self._source = KeySource(
            issuer,
            Fetcher(timeout, allow_http, tls or ssl.create_default_context()),
            jwks_uri=jwks_uri,
            clock=clock,
            cooldown=cooldown,
            max_stale=max_stale,
        )

    async def verify(self, token: str | bytes) -> Claims:
        """The claims of `token`, if it is good now and for this service. Raises VerificationError."""
        steps = self._steps(token)
        try:
            while True:
                await _wait(next(steps), self._timeout)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def verify_sync(self, token: str | bytes) -> Claims:
        """As `verify`, for code without an event loop, which it would block while keys are fetched."""
        steps = self._steps(token)
        try:
            while True:
                wait_for([next(steps)], timeout=self._timeout)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Ends the background work. Verification goes on with the keys that are there."""
        fetch = self._source.close()
        if fetch is not None:
            await _wait(fetch, self._timeout)

    def close(self) -> None:
        """As `aclose`, for code without an event loop."""
        fetch = self._source.close()
        if fetch is not None:
            wait_for([fetch], timeout=self._timeout)

    def _steps(self, token: str | bytes) -> _Steps:
        """The whole logic, for both faces: yields what to wait for, and returns the claims."""
        keys = self._source.current()
        if isinstance(keys, Future):
            yield keys
            keys = self._source.settled()
        try:
            return self._check(token, keys)
        except UnknownKey:
            fetch = self._source.search()
            if fetch is None and self._source.settled() is keys:
                raise
        if fetch is not None:
            yield fetch
        return self._check(token, self._source.settled())

    def _check(self, token: str | bytes, keys: KeySet) -> Claims:
        return verify_token(
            token,
            keys,
            issuer=self._issuer,
            audience=self._audience,
            now=self._clock(),
            leeway=self._leeway,
        )

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


async def _wait(fetch: Future[None], seconds: float) -> None:
    # asyncio.wait, because it neither raises at the end of its time nor cancels what others wait for too
    await asyncio.wait([asyncio.wrap_future(fetch)], timeout=seconds)
