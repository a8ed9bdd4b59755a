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
from idp_verifier.testing import LocalIssuer, Signer, access_token_claims, base64url

AUDIENCE = "https://api.example.com"
ISSUER = "https://id.example.com"
NOW = time.time()  # of the other libraries not all take a clock
LEEWAY = 30

SIGNERS = [Signer.generate(alg, kid=alg) for alg in ("ES256", "EdDSA", "RS256")]
STRANGER = Signer.generate("ES256", kid="ES256")
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


# Mutations: of the text, of one part of it, and of what is then signed by the right key


ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 10**12, 10**30, 1e300, "", " ", "none", "None", "HS256", "RS256", "at+jwt"),
    *([], [None], [[]], {}, {"a": {}}, ["exp"], "é", "\0", "a.b.c", ISSUER, [ISSUER], AUDIENCE, [AUDIENCE, "x"]),
    *(NOW - 1_000, NOW + 1_000, int(NOW) - 1_000, int(NOW) + 1_000, str(int(NOW) + 1_000)),
]
# Keys in the header are ignored here, whatever they are. Others ignore them too, but insist on their form.
FOREIGN: dict[str, list[Any]] = {
    "jwk": [dict(STRANGER.jwk)],
    "jku": ["https://evil.example.com/jwks.json"],
    "x5u": ["https://evil.example.com/chain.pem"],
}
RAW: list[Callable[[str], str]] = [
    lambda text: text + " ",
    lambda text: "\ufeff" + text,
    lambda text: text[:-1],
    lambda text: text[:-1] + ",}",
    lambda text: text[:-1] + ',"exp":1}',
    lambda text: text[:-1] + ',"alg":"none"}',
    lambda text: '{"exp":1,' + text[1:],
    lambda text: '{"alg":"none","kid":"x",' + text[1:],
    lambda text: text.replace(":", ": "),
    lambda text: text.replace("e", "\\u0065"),
    lambda text: text.replace("1", "1e0", 1),
    lambda text: text.replace("1", "NaN", 1),
    lambda text: text + "\0",
    lambda text: "[" + text + "]",
    lambda text: text.replace('"', "'"),
]
LETTERS = "ABCgwxyz019-_.=+/ \n\0é%"


def mutated(dice: random.Random, token: str, signer: Signer) -> str:
    """One mutation, of one kind in three: without a new signature, with one of the right key, or of the text."""
    header, payload = (json.loads(_decoded(part)) for part in token.split(".")[:2])
    match dice.randrange(5):
        case 0:
            return _changed_text(dice, token)
        case 1:
            return _shuffled(dice, token)
        case 2:
            header = _changed(dice, header, ["alg", "kid", "typ", "crit", "zip", "b64", *FOREIGN, "x"])
        case 3:
            payload = _changed(dice, payload, [*payload, "nbf", "scope", "roles", "x"])
        case 4:
            part = dice.randrange(2)
            raw = [json.dumps(members, separators=(",", ":")) for members in (header, payload)]
            raw[part] = dice.choice(RAW)(raw[part])
            return _signed(dice, signer, *raw)
    return _signed(dice, signer, *(json.dumps(members, separators=(",", ":")) for members in (header, payload)))


def _decoded(part: str) -> bytes:
    return pyjwt.utils.base64url_decode(part)


def _signed(dice: random.Random, signer: Signer, header: str, payload: str) -> str:
    signing_input = f"{base64url(header.encode())}.{base64url(payload.encode())}"
    by = signer if dice.random() < 0.8 else dice.choice([STRANGER, *SIGNERS])
    return f"{signing_input}.{base64url(by.sign_octets(signing_input.encode()))}"


def _changed(dice: random.Random, members: dict[str, Any], names: list[str]) -> dict[str, Any]:
    changed = dict(members)
    for name in dice.sample(names, dice.choice([1, 1, 2])):
        if dice.random() < 0.2:
            changed.pop(name, None)
        else:
            changed[name] = dice.choice(FOREIGN.get(name, ODD))
    return changed


def _changed_text(dice: random.Random, token: str) -> str:
    at = dice.choice([dice.randrange(len(token)), len(token) - 1, token.index("."), token.rindex(".")])
    letter = dice.choice(LETTERS)
    return dice.choice(
        [
            token[:at] + letter + token[at + 1 :],
            token[:at] + letter + token[at:],
            token[:at] + token[at + 1 :],
            token[:at],
            token + letter,
            letter + token,
            token[:at] + token[at:].swapcase(),
        ]
    )


def _shuffled(dice: random.Random, token: str) -> str:
    parts = [*token.split("."), "", "e30", base64url(b'{"alg":"none"}')]
    return ".".join(dice.choices(parts, k=dice.choice([1, 2, 3, 3, 3, 4, 5])))


def fuzz(verify: Callable[[str], object], issuer: str, count: int, seed: int) -> tuple[int, list[str]]:
    """How many of `count` mutated tokens were accepted, and those which should not have been."""
    dice = random.Random(seed)
    good = [(signer.sign(access_token_claims(issuer, NOW)), signer) for signer in SIGNERS[:2] * 4 + SIGNERS[2:]]
    accepted, wrongly = 0, []
    for _ in range(count):
        token = mutated(dice, *dice.choice(good))
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
