"""What a status adds to issuing and to verifying one token: `python -m bench.speed.status`.

In one process, without network and database: indices are there, and so is the list. Only the time that this thread
runs counts; with and without take turns, and the least of each is what it costs on a machine that has nothing else
to do. No promise hangs on it, so `make bench` leaves it out.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from idp.issuer import Issuer
from idp.protocol.authorization import Authorization
from idp.protocol.client import Client
from idp.protocol.status import LIST_TYPE, list_claims, status_list
from idp.status.indices import BLOCK_LIFETIME, MOST, Block, StatusIndices
from idp_verifier import Verifier
from idp_verifier.testing import Answer, LocalIssuer, Signer

ROUNDS, TOKENS = 100, 20
AUDIENCE = "https://api.example.com"
GRANTED = Authorization(Client("client", "a client", "none", frozenset()), ("read",), (AUDIENCE,))


class Signing:
    """Signs as the keyring does, but on this thread, whose time is measured."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def sign(self, claims: dict[str, Any], *, typ: str, now: float) -> tuple[str, str]:  # noqa: ARG002
        return self._signer.sign(claims, typ=typ), str(self._signer.jwk["kid"])


def seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def compare(name: str, without: Callable[[], object], with_status: Callable[[], object]) -> None:
    rounds = [(seconds(without), seconds(with_status)) for _ in range(ROUNDS)]
    base, more = (min(column) / TOKENS * 1e6 for column in zip(*rounds, strict=True))
    print(f"{name:30} {base:7.1f} us, with a status {more:7.1f} us: {more / base - 1:+.1%}")


def indices() -> StatusIndices:
    made = StatusIndices(None, time.time, ttl=900, offline=60)  # type: ignore[arg-type]
    made._blocks = deque([Block(0, list(range(MOST)), time.time() + BLOCK_LIFETIME)])  # noqa: SLF001 - filled without a database
    return made


def issue(issuer: Issuer) -> list[str]:
    async def run() -> list[str]:
        return [(await issuer.issue(GRANTED)).access_token for _ in range(TOKENS)]

    return asyncio.run(run())


def main() -> None:
    with LocalIssuer("RS256") as place:
        now, signing = time.time(), Signing(place.signer)
        claims = list_claims(place.url, 0, status_list(range(MOST, MOST + 1000)), now=int(now), lifetime=1020)
        place.answers["/status/0"] = Answer(place.signer.sign(claims, typ=LIST_TYPE).encode())
        plain = Issuer(place.url, 900, time.time, signing)
        listed = Issuer(place.url, 900, time.time, signing, indices().draw)
        compare("issuing", lambda: issue(plain), lambda: issue(listed))
        tokens, with_status = issue(plain), issue(listed)
        for name, remembered in (("verifying", 0), ("verifying what is remembered", 4096)):
            with Verifier(place.url, AUDIENCE, cache_size=remembered) as verifier:

                def verify(them: list[str], verifier: Verifier = verifier) -> None:
                    for token in them:
                        verifier.verify_sync(token)

                verify([*tokens, *with_status])  # keys and list are fetched
                compare(name, lambda v=verify: v(tokens), lambda v=verify: v(with_status))  # type: ignore[misc]


if __name__ == "__main__":
    main()
