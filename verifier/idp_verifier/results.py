"""What was verified once need not be verified again: a bounded memory of tokens, by their hash."""

from collections.abc import Mapping
from typing import NamedTuple

from idp_verifier.claims import Claims
from idp_verifier.jwk import VerificationKey
from idp_verifier.status import StatusReference


class Verified(NamedTuple):
    """What is known of a token for good, once its signature and its claims have been found to be right.

    Not for good are: that `key` is still one of the issuer's, the instants `exp` and `not_before`, the status, and
    the proof of possession of the key with the thumbprint `jkt`. They are looked at each time.
    """

    claims: Claims
    key: VerificationKey
    exp: float
    not_before: float
    jkt: str | None
    status: StatusReference | None


class ResultCache:
    """The last verified tokens, at most `size` of them (0: none). Threads may share it.

    Two generations take the place of a list by last use, so that a hit costs one look-up and no lock: what is used
    moves to the younger one; when that is half of all, the older one is dropped as a whole. Only what was verified
    comes in, so forged tokens cannot push anything out.
    """

    def __init__(self, size: int) -> None:
        self._half = size // 2
        self._young: dict[bytes, Verified] = {}
        self._old: dict[bytes, Verified] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, digest: bytes, keys: Mapping[str, VerificationKey]) -> Verified | None:
        """What is known of the token with this SHA-256, if its key is one of `keys`."""
        verified = self._young.get(digest)
        if verified is None:
            verified = self._old.pop(digest, None)
            if verified is None:
                return None
            self.put(digest, verified)
        if keys.get(verified.key.kid) is verified.key:
            return verified
        self.forget(digest)
        return None

    def put(self, digest: bytes, verified: Verified) -> None:
        if not self._half:
            return
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[digest] = verified

    def forget(self, digest: bytes) -> None:
        self._young.pop(digest, None)
        self._old.pop(digest, None)
