"""Proofs of possession (RFC 9449): a token that is bound to a key is worth nothing without them.

`verify_proof` is pure, from a request and an instant to what the proof says, for resource services and for a
token endpoint alike. What a pure function cannot know, whether a proof was seen before, is `SeenProofs`.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature as BadSignature

from idp_verifier.claims import is_instant
from idp_verifier.encoding import encode_base64url, parse_object
from idp_verifier.errors import (
    InvalidHeader,
    InvalidProof,
    ProofRequired,
    ReplayedProof,
    TooManyProofs,
    UnboundToken,
    UnsupportedConfirmation,
    VerificationError,
)
from idp_verifier.jwk import VerificationKey, parse_key, thumbprint
from idp_verifier.jws import demand_type, octets_of, parse_parameters, split_compact, text_parameter

PROOF_WINDOW = 60.0
"""Seconds by which the `iat` of a proof may differ from our clock, either way: time for a slow network and for a
client's clock that nobody tends (RFC 9449 §11.1 asks for seconds or minutes)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class DpopProof:
    """What came with a request: its method, its absolute URI as the client asked for it, its DPoP header.

    Who stands behind a proxy has to put the public scheme and host into `uri`. Of more than one DPoP header none
    is to be used (RFC 9449 §4.3).
    """

    method: str
    uri: str
    jwt: str | bytes


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """What a proof says, once all of it has been checked but for `jti` and `nonce`, which need a memory.

    `jkt` is the thumbprint (RFC 7638) of the key that signed it; `iat` is in POSIX seconds.
    """

    jkt: str
    jti: str
    iat: float
    nonce: str | None


def verify_proof(
    proof: DpopProof,
    *,
    now: float,
    access_token: str | bytes | None = None,
    window: float = PROOF_WINDOW,
) -> VerifiedProof:
    """Checks a proof as RFC 9449 §4.3 says.

    With an `access_token` the proof must be one for it (`ath`); a token endpoint has none. `now` is in POSIX
    seconds, and `window`, in seconds, is how far `iat` may lie from it. Raises InvalidProof.
    """
    jkt, members = _authenticated(proof.jwt)
    if members.get("htm") != proof.method:
        raise InvalidProof("the proof is for another method")
    if _target(members.get("htu")) != _target(proof.uri):
        raise InvalidProof("the proof is for another URI")
    if access_token is not None and members.get("ath") != _hash_of(access_token):
        raise InvalidProof("the proof is for another access token")
    jti, iat, nonce = members.get("jti"), members.get("iat"), members.get("nonce")
    if not is_instant(iat) or not now - window <= iat <= now + window:
        raise InvalidProof("the proof is too old, or from the future")
    if not isinstance(jti, str) or not jti or not isinstance(nonce, str | None):
        raise InvalidProof("the proof has no jti, or a nonce that is not a string")
    return VerifiedProof(jkt, jti, iat, nonce)


def bound_key(members: Mapping[str, Any]) -> str | None:
    """The thumbprint of the key that a token with these claims is bound to (§6.1); None for a bearer token.

    Raises UnsupportedConfirmation if `cnf` asks for anything else or anything more: to ignore that would make a
    bearer token of one that its issuer had bound to a certificate, for instance (RFC 8705 §3.1).
    """
    if "cnf" not in members:
        return None
    match members["cnf"]:
        case {"jkt": str(jkt), **others} if not others and _THUMBPRINT.fullmatch(jkt):
            return jkt
    raise UnsupportedConfirmation("the token is bound in a way that is not supported")


def confirm(
    jkt: str | None, proof: DpopProof | None, *, now: float, access_token: str | bytes, window: float = PROOF_WINDOW
) -> VerifiedProof:
    """Checks the proof for a token that is bound to `jkt`. Raises ProofRequired if there is none, or InvalidProof.

    For a bearer token, which is bound to nothing, no proof will do, but UnboundToken is raised: who sends one
    believes that the token is of no use to anybody else (§7.1).
    """
    if proof is None:
        raise ProofRequired("the token is bound to a key, and no proof of its possession came with it")
    if jkt is None:
        raise UnboundToken("the token is not bound to a key, and a proof of possession came with it")
    verified = verify_proof(proof, now=now, access_token=access_token, window=window)
    if verified.jkt != jkt:
        raise InvalidProof("the token is not bound to the key of the proof")
    return verified


class SeenProofs:
    """The proofs of the last moments, by key and `jti`, so that none is used twice (§11.1). Threads may share it.

    It holds at most `capacity` of them. Beyond that proofs are refused: to forget one would allow its replay.
    Each process has its own: where that is too little, give requests of one client to one process.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._until: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, proof: VerifiedProof, *, now: float, window: float = PROOF_WINDOW) -> None:
        """Remembers a proof for as long as it could be used. Raises ReplayedProof or TooManyProofs."""
        seen = sha256(f"{proof.jkt}.{proof.jti}".encode()).digest()
        with self._lock:
            self._forget(now)
            if seen in self._until:
                raise ReplayedProof("the proof was used before")
            if len(self._until) >= self._capacity:
                raise TooManyProofs("too many proofs came within a short time")
            self._until[seen] = proof.iat + window

    def _forget(self, now: float) -> None:
        # From the oldest on: one whose iat lay ahead may keep others a little longer than they need.
        while self._until and self._until[first := next(iter(self._until))] < now:
            del self._until[first]


def _authenticated(jwt: str | bytes) -> tuple[str, dict[str, Any]]:
    """The thumbprint of the key in the header, and the claims that it has signed."""
    try:
        segment, payload, signature, signing_input = split_compact(jwt)
        key, jkt = _parse_header(segment)
        key.check(signature, signing_input)
        return jkt, parse_object(payload)
    except BadSignature:
        raise InvalidProof("the signature of the proof is not valid") from None
    except (VerificationError, ValueError) as problem:
        raise InvalidProof("the proof is not a signed JWT of the form that RFC 9449 gives it") from problem


# The proofs of one client all begin with the same octets, and its key is dear to read.
@lru_cache(maxsize=256)
def _parse_header(segment: bytes) -> tuple[VerificationKey, str]:
    parameters = parse_parameters(segment)
    demand_type(text_parameter(parameters, "typ"), "dpop+jwt")
    alg, jwk = text_parameter(parameters, "alg"), parameters.get("jwk")
    if not isinstance(jwk, dict) or jwk.get("alg", alg) != alg:
        raise InvalidHeader("the header has no jwk, or one for another alg")
    # A key of its own needs neither name nor algorithm; parse_key refuses private members and what is weak.
    key = parse_key({**jwk, "kid": "dpop", "alg": alg})
    return key, thumbprint(jwk)


def _hash_of(access_token: str | bytes) -> str:
    return encode_base64url(sha256(octets_of(access_token)).digest())


def _target(uri: object) -> str:
    """`uri` without query and fragment, normalised by syntax and scheme (§4.3; RFC 3986 §6.2.2, §6.2.3)."""
    # urlsplit would silently drop line breaks and tabs
    if not isinstance(uri, str) or not _URI_CHARACTERS.fullmatch(uri):
        raise InvalidProof("the URI of the request, or that in the proof, is no URI")
    try:
        parts = urlsplit(uri)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InvalidProof("the URI of the request, or that in the proof, is no URI") from None
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
        raise InvalidProof("the URI of the request, or that in the proof, is not that of an HTTP resource")
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}:{port}{_without_dot_segments(_ESCAPE.sub(_normal_escape, parts.path))}"


def _normal_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_URI_CHARACTERS = re.compile(r"[!-~]+")  # visible ASCII: everything else must have been escaped (RFC 3986 §2)
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
