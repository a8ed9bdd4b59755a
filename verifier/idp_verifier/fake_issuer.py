"""An issuer that fails as it is told to, for the tests of resource services. It speaks real HTTP, on this machine.

    def test_an_outage_of_a_night(fake_issuer: FakeIssuer) -> None:
        with fake_issuer.verifier() as verifier:
            assert verifier.verify_sync(fake_issuer.token(scope="read"))
            fake_issuer.go_down()
            fake_issuer.clock.advance(8 * 3600)
            assert verifier.verify_sync(fake_issuer.token(scope="read"))

pytest finds the fixture `fake_issuer` by itself, wherever this distribution is installed.
"""

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from idp_verifier.encoding import decode_base64url
from idp_verifier.fake_client import FakeClient
from idp_verifier.testing import JWKS_PATH, STATUS_PATH, Answer, LocalIssuer, Signer, access_token_claims
from idp_verifier.verifier import Verifier

_STATUS_OCTETS = 8_192
"""The size of the Token Status List: enough for 65,536 tokens."""


class Clock:
    """Gives POSIX seconds: those at which it was made, until it is advanced."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeIssuer(LocalIssuer):
    """A LocalIssuer with a `clock` of its own, keys that change, and faults that last until `recover()`.

    `audience` is whom its tokens are for; `max_age`, in seconds, how long its keys may be cached.
    """

    def __init__(
        self, signer: Signer | None = None, *, audience: str = "https://api.example.com", clock: Clock | None = None
    ) -> None:
        self.audience = audience
        self.max_age = 300
        self.clock = clock or Clock(time.time())
        self._is_moving = threading.Event()
        self._is_moving.set()
        self._failure: Answer | None = None
        self._stale: Answer | None = None
        self._place: socket.socket | None = None
        self._indices = itertools.count()
        self._revoked = 0  # one bit for each index
        super().__init__(signer=signer, clock=self.clock)
        self._published = [self.signer]

    def verifier(self, **options: Any) -> Verifier:
        """A Verifier of its tokens, on its clock; `options` are those of Verifier. To be closed."""
        return Verifier(self.url, self.audience, **{"clock": self.clock, **options})

    def token(self, **claims: Any) -> str:
        """An access token, good for 15 minutes of the clock; `claims` replaces and adds, None omits."""
        return super().token(**{"aud": self.audience, **claims})

    def revocable_token(self, **claims: Any) -> str:
        """As `token`, with a place of its own in a Token Status List."""
        return self.token(status=self.status_at(next(self._indices)), **claims)

    def revoke(self, token: str) -> None:
        """Takes back a `revocable_token`: verifiers see it within the `ttl` of the list, 100 seconds."""
        payload = json.loads(decode_base64url(token.split(".")[1].encode()))
        self._revoked |= 1 << payload["status"]["status_list"]["idx"]

    def client(self, alg: str = "ES256") -> FakeClient:
        """A client with a key, on the issuer's clock: `token(cnf=client.cnf)` is bound to it (RFC 9449)."""
        return FakeClient(alg, clock=self.clock)

    def forged_kids(self, count: int) -> Iterator[str]:
        """Tokens that look good, each with a kid of its own that nobody has published."""
        forger = Signer.generate("ES256")
        for number in range(count):
            claims = {**access_token_claims(self.url, self.clock()), "aud": self.audience}
            yield forger.sign(claims, kid=f"forged-{forger.kid}-{number}")

    @property
    def fetches(self) -> int:
        """How often the keys have been asked for."""
        return [path for path, _ in self.requests].count(JWKS_PATH)

    def rotate(self) -> None:
        """From now on a new key signs. The others stay published, and their tokens good."""
        self.signer = Signer.generate(self.signer.alg)
        self._published.insert(0, self.signer)
        self.publish(*self._published, max_age=self.max_age)

    def revoke_old_keys(self) -> None:
        """Publishes nothing but the key that signs: the tokens of the others are good for `max_age` at most."""
        self._published = [self.signer]
        self.publish(self.signer, max_age=self.max_age)

    def serve_stale_keys(self) -> None:
        """Whatever is published later: those who ask get the keys of now, as from a cache on the way."""
        self._stale = self.answers[JWKS_PATH]

    def stall(self) -> None:
        """Connections are accepted, and then nothing is said."""
        self._is_moving.clear()

    def fail(self, status: int = 503) -> None:
        """Every answer is an error."""
        self._failure = Answer(status=status)

    def go_down(self) -> None:
        """Connections are refused."""
        if self._place is None:
            self._stop()
            self._place = socket.socket()  # bound and silent, lest somebody else moves in
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._place.bind(self._server.server_address)

    def come_back(self) -> None:
        """After `go_down`, at the same address."""
        if self._place is not None:
            self._place.close()
            self._server = self._bound(self._server.server_port)
            self._start()
            self._place = None

    def recover(self) -> None:
        """Ends every fault; the keys stay those of the last `rotate` or `revoke_old_keys`."""
        self._failure = self._stale = None
        self._is_moving.set()
        self.come_back()

    def respond(self, path: str) -> Answer:
        self._is_moving.wait()
        if path == STATUS_PATH:  # anew for each who asks, so that it does not expire while the clock advances
            self.publish_statuses(self._revoked.to_bytes(_STATUS_OCTETS, "little"))
        if path == JWKS_PATH and self._stale is not None:
            return self._failure or self._stale
        return self._failure or super().respond(path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.recover()  # nobody is left waiting
        super().__exit__(kind, error, trace)
