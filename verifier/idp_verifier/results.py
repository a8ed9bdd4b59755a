"""What was verified once need not be verified again: a bounded memory of tokens."""

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

    A token is known by its text: Python's keyed hash finds it and a comparison confirms it, so nothing is ever taken
    for it. A digest of our own would take longer than all the rest of a hit. It would keep the text out of our memory,
    but not out of that of the server, whose requests bring it, nor what it says, which is kept anyway; and a token is
    good for minutes, for its audience. Where that is too much, there is a size of 0.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._half = size // 2
        self._young: dict[str, Verified] = {}
        self._old: dict[str, Verified] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, token: str, keys: Mapping[str, VerificationKey]) -> Verified | None:
        """What is known of `token`, if its key is one of `keys`."""
        verified = self._young.get(token)
        if verified is None:
            verified = self._old.pop(token, None)
            if verified is None:
                return None
            self.put(token, verified)
        if keys.get(verified.key.kid) is verified.key:
            return verified
        self.forget(token)
        return None

    def put(self, token: str, verified: Verified) -> None:
        if not self._half:
            return
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[token] = verified

    def forget(self, token: str) -> None:
        self._young.pop(token, None)
        self._old.pop(token, None)
