"""B8: what a resource service spends on a token, new to it or seen before."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from bench.benchmark import Benchmark, Measure, Promise, Round, at_least, at_most
from bench.contestants import AUDIENCE
from bench.ground import Ground
from bench.speed.figures import CPU
from idp_verifier import Verifier
from idp_verifier.jws import split_compact
from idp_verifier.testing import LocalIssuer

RAW = "raw RSA-2048 verification"
PYJWT = "PyJWT"
NEW = "idp-verifier, new tokens"
REPEATED = "idp-verifier, repeated tokens"

_SLICES = 100
_TOKENS = 100  # in each slice

T = TypeVar("T")


@contextmanager
def _contest(_: Ground) -> Iterator[Measure]:
    with LocalIssuer() as issuer, Verifier(issuer.url, AUDIENCE) as verifier:
        key, padding, digest = issuer.signer.public_key, PKCS1v15(), SHA256()
        assert isinstance(key, RSAPublicKey)

        def raw(token: tuple[bytes, bytes, bytes, bytes]) -> None:
            _, _, signature, signing_input = token
            key.verify(signature, signing_input, padding, digest)

        def with_pyjwt(token: str) -> object:
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=AUDIENCE,
                issuer=issuer.url,
                options={"require": ["exp", "iat", "sub"]},
            )

        def spent_on_a_slice() -> dict[str, float]:
            tokens = [issuer.token(aud=AUDIENCE, scope="read") for _ in range(_TOKENS)]
            again = [(token + ".")[:-1] for token in tokens]  # as requests bring them: not even the hash is known
            return {
                RAW: _microseconds(raw, [split_compact(token) for token in tokens]),
                PYJWT: _microseconds(with_pyjwt, tokens),
                NEW: _microseconds(verifier.verify_sync, tokens),
                REPEATED: _microseconds(verifier.verify_sync, again),
            }

        def measure() -> Round:
            """By turns, and of each contestant the best slice: what else the machine does can only add to it."""
            slices = [spent_on_a_slice() for _ in range(_SLICES)]
            return Round({name: {CPU: min(each[name] for each in slices)} for name in slices[0]})

        verifier.verify_sync(issuer.token(aud=AUDIENCE))  # fetches the keys
        yield measure


def _microseconds(operate: Callable[[T], object], inputs: Sequence[T]) -> float:
    """The CPU time of each."""
    start = time.process_time()
    for each in inputs:
        operate(each)
    return (time.process_time() - start) / len(inputs) * 1e6


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
