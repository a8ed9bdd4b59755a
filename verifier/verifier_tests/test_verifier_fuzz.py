"""G12: mutated tokens against three other libraries. What one of them refuses is never accepted here."""

import importlib
import json
import random
import time
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest
from joserfc import jwt as joserfc
from joserfc.jwk import KeySet as JoserfcKeys
from joserfc.jws import JWSRegistry

from idp_verifier import KeySet, VerificationError, Verifier, parse_key, verify_token
from idp_verifier.mutations import Mutations
from idp_verifier.testing import LocalIssuer, Signer, access_token_claims

AUDIENCE = "https://api.example.com"
ISSUER = "https://id.example.com"
NOW = time.time()  # of the other libraries not all take a clock
LEEWAY = 30

SIGNERS = [Signer.generate(alg, kid=alg) for alg in ("ES256", "EdDSA", "RS256")]
KEYS = KeySet(parse_key(signer.jwk) for signer in SIGNERS)

Refuses = Callable[[str], object]

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA")  # joserfc would have it called Ed25519 (RFC 9864)

try:
    jwcrypto: Any = importlib.import_module("jwcrypto")
    importlib.import_module("jwcrypto.jwt")
except ImportError:  # two others remain
    jwcrypto = None


# The others, each asked to check as much as it can. They raise what they like.


def with_pyjwt(token: str) -> None:
    kid = pyjwt.get_unverified_header(token)["kid"]
    signer = next(signer for signer in SIGNERS if signer.kid == kid)
    pyjwt.decode(
        token,
        signer.public_key,
        algorithms=[signer.alg],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=LEEWAY,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
    )


JOSERFC_KEYS = JoserfcKeys.import_key_set({"keys": [dict(signer.jwk) for signer in SIGNERS]})
# RFC 7515 §4: what is not understood is ignored, unless `crit` names it.
JOSERFC_HEADERS = JWSRegistry(algorithms=[signer.alg for signer in SIGNERS], strict_check_header=False)
JOSERFC_CLAIMS = joserfc.JWTClaimsRegistry(
    leeway=LEEWAY,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
)


def with_joserfc(token: str) -> None:
    JOSERFC_CLAIMS.validate(joserfc.decode(token, JOSERFC_KEYS, registry=JOSERFC_HEADERS).claims)


def with_jwcrypto(token: str) -> None:
    wanted = {"iss": ISSUER, "aud": AUDIENCE, "exp": None, "sub": None}
    algs = [signer.alg for signer in SIGNERS]
    jwcrypto.jwt.JWT(jwt=token, key=JWCRYPTO_KEYS, algs=algs, check_claims=wanted)


OTHERS: list[Refuses] = [with_pyjwt, with_joserfc]
if jwcrypto:
    JWCRYPTO_KEYS = jwcrypto.jwk.JWKSet.from_json(json.dumps({"keys": [dict(signer.jwk) for signer in SIGNERS]}))
    OTHERS.append(with_jwcrypto)


def fuzz(verify: Callable[[str], object], issuer: str, count: int, seed: int) -> tuple[int, list[str]]:
    """How many of `count` mutated tokens were accepted, and those which should not have been."""
    signers = SIGNERS[:2] * 4 + SIGNERS[2:]  # to sign with RSA takes longest
    mutations = Mutations(signers, access_token_claims(issuer, NOW), random.Random(seed))
    accepted, wrongly = 0, []
    for _ in range(count):
        token = mutations.token()
        try:
            verify(token)
        except VerificationError:
            continue
        accepted += 1
        wrongly += [f"{other.__name__}: {token}" for other in OTHERS if not _accepts(other, token)]
    return accepted, wrongly


def _accepts(other: Refuses, token: str) -> bool:
    try:
        other(token)
    except Exception:  # noqa: BLE001 - each has exceptions of its own, and defects
        return False
    return True


def pure(token: str) -> object:
    return verify_token(token, KEYS, issuer=ISSUER, audience=AUDIENCE, now=NOW, leeway=LEEWAY)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
def test_the_others_accept_what_is_good(other: Refuses) -> None:
    """Otherwise what they refuse would say nothing."""
    for signer in SIGNERS:
        other(signer.sign(access_token_claims(ISSUER, NOW)))


def test_g12_no_mutated_token_is_accepted_that_another_library_refuses() -> None:
    accepted, wrongly = fuzz(pure, ISSUER, 4_000, seed=1)
    assert wrongly == []
    assert accepted > 100  # mutations that do not matter: a claim that nobody knows, another order, white space


def test_g12_nor_by_a_verifier_that_remembers() -> None:
    """Here the good tokens are known, and so are the mutated ones that were accepted before."""
    with LocalIssuer("ES256", clock=lambda: NOW) as server:
        server.url, url = ISSUER, server.url
        server.publish(*SIGNERS)
        jwks_uri = f"{url}/.well-known/jwks.json"
        with Verifier(ISSUER, AUDIENCE, jwks_uri=jwks_uri, clock=lambda: NOW, cache_size=64) as verifier:
            accepted, wrongly = fuzz(verifier.verify_sync, ISSUER, 3_000, seed=2)
    assert wrongly == []
    assert accepted > 100


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(20))
def test_g12_a_million_mutated_tokens(seed: int) -> None:
    accepted, wrongly = fuzz(pure, ISSUER, 50_000, seed=100 + seed)
    assert wrongly == []
    assert accepted > 1_000
