"""What judges tokens in these tests, and the strictest judge: one that honours max-age and never refetches early."""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from idp_verifier import KeySet, VerificationError, verify_token
from tests.rotation.connections import Answer, Peer
from tests.rotation.installation import AUDIENCE, SKEW, Installation

JWKS_PATH = "/.well-known/jwks.json"
_MAX_AGE = re.compile(r"max-age=(\d+)")


class Verifier(Protocol):
    """A resource service's view of tokens."""

    @property
    def name(self) -> str: ...

    async def objection(self, token: str) -> str | None:
        """None when the token is good; otherwise why it is rejected, and what was known then."""


@dataclass(frozen=True, slots=True)
class Cached:
    """A JWK Set, and when (monotonic) it came and ends."""

    keyset: KeySet
    etag: str
    came_at: float
    ends_at: float


class PatientVerifier:
    """Keeps a JWK Set for exactly as long as it was told, whatever tokens it meets meanwhile.

    It asks one instance as long as that answers, then the others.
    """

    def __init__(self, name: str, issuer: str, instances: list[Peer]) -> None:
        self.name = name
        self._issuer = issuer
        self._instances = instances
        self._cached: Cached | None = None
        self._fetching = asyncio.Lock()

    async def objection(self, token: str) -> str | None:
        cached = await self._current()
        try:
            verify_token(token, cached.keyset, issuer=self._issuer, audience=AUDIENCE, now=time.time(), leeway=SKEW)
        except VerificationError as error:
            age = time.monotonic() - cached.came_at
            return f"{error.code} by a JWK Set {age:.2f} s old with {sorted(cached.keyset)}"
        return None

    async def _current(self) -> Cached:
        async with self._fetching:
            while self._cached is None or time.monotonic() >= self._cached.ends_at:
                if fetched := await self._fetch():
                    self._cached = fetched
                    return fetched  # even with max-age=0 it is good for the token at hand
                await asyncio.sleep(0.02)
            return self._cached

    async def _fetch(self) -> Cached | None:
        """The JWK Set of the first instance that gives it. Its time counts from when it came, the latest allowed."""
        known = self._cached
        for instance in self._instances:
            with contextlib.suppress(ConnectionError):
                answer = await instance.get(JWKS_PATH, **({"if_none_match": known.etag} if known else {}))
                now = time.monotonic()
                if answer.status == 304 and known:
                    return Cached(known.keyset, known.etag, now, now + _max_age(answer))
                if answer.status == 200:
                    return Cached(KeySet.parse(answer.body), answer.headers["etag"], now, now + _max_age(answer))
        return None


def _max_age(answer: Answer) -> int:
    found = _MAX_AGE.search(answer.headers["cache-control"])
    assert found, answer.headers
    return int(found[1])


@contextlib.contextmanager
def patient_verifiers(installation: Installation, *, of_each: int) -> Iterator[list[PatientVerifier]]:
    """So many verifiers for each instance. Their caches end at different times."""
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(contextlib.closing(Peer(instance.url))) for instance in installation.instances]
        yield [
            PatientVerifier(
                f"verifier {number} of instance {place}", installation.issuer, peers[place:] + peers[:place]
            )
            for place in range(len(peers))
            for number in range(of_each)
        ]
