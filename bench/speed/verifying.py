"""B8: what a resource service spends on a token, new to it or seen before."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jwt

from bench.anchors import on_one_core
from bench.benchmark import Benchmark, Figures, Measure, Promise, Round, at_least, at_most
from bench.contestants import AUDIENCE
from bench.ground import Ground
from bench.speed.figures import CPU, raw_figures
from idp_verifier import Verifier
from idp_verifier.testing import LocalIssuer

RAW = "raw RSA-2048 verification"
PYJWT = "PyJWT"
NEW = "idp-verifier, new tokens"
REPEATED = "idp-verifier, repeated token"

_NEW_TOKENS = 1000


@contextmanager
def _contest(_: Ground) -> Iterator[Measure]:
    with LocalIssuer() as issuer, Verifier(issuer.url, AUDIENCE) as verifier:
        key = issuer.signer.public_key

        def with_pyjwt(token: str) -> object:
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=AUDIENCE,
                issuer=issuer.url,
                options={"require": ["exp", "iat", "sub"]},
            )

        def measure() -> Round:
            tokens = [issuer.token(aud=AUDIENCE, scope="read") for _ in range(_NEW_TOKENS)]
            return Round(
                {
                    RAW: raw_figures(on_one_core("rsa-verify", 1.0)),
                    PYJWT: _figures(with_pyjwt, tokens),
                    NEW: _figures(verifier.verify_sync, tokens),
                    REPEATED: _figures(verifier.verify_sync, tokens[-1:] * 10 * _NEW_TOKENS),
                }
            )

        verifier.verify_sync(issuer.token(aud=AUDIENCE))  # fetches the keys
        yield measure


def _figures(verify: Callable[[str], object], tokens: Sequence[str]) -> Figures:
    start = time.process_time()
    for token in tokens:
        verify(token)
    return {CPU: (time.process_time() - start) / len(tokens) * 1e6}


B8 = Benchmark(
    "B8",
    "verifying a token offline",
    "raw RSA-2048 verification; PyJWT",
    (
        Promise("CPU for a new token, beside raw", at_most(1.5), lambda of: of.ratio(CPU, NEW, RAW)),
        Promise("speed for a new token, beside PyJWT", at_least(3), lambda of: of.ratio(CPU, PYJWT, NEW)),
        Promise("speed for a repeated token, beside PyJWT", at_least(50), lambda of: of.ratio(CPU, PYJWT, REPEATED)),
    ),
    _contest,
)
