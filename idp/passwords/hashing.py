"""From a password to what is stored of it, and back to a yes or a no.

What we store is `$hmac-sha256-bcrypt$p=<fingerprint>$2b$12$<salt and digest>`: bcrypt over the base64 of an
HMAC-SHA-256 of the password, keyed with a pepper that is not in the database. The HMAC bridges bcrypt's limit
of 72 bytes and its trouble with NUL; the pepper makes a stolen database useless for guessing.

Imported hashes, plain bcrypt of another system, are verified by the rules of those systems until the first
successful login replaces them.

A verification takes a time that depends on the typed password and on the settings, never on the account, nor
on whether there is one: every verification spends the same number of bcrypt rounds.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import bcrypt

from idp.passwords.rules import normalise

MAX_FOREIGN_COST = 14
"""The highest cost of a hash that may be imported: about a second of work."""

_PEPPER_BYTES = 32
_BCRYPT_BYTES = 72
_COSTS = range(4, 17)  # below 4 there is no bcrypt; 16 takes some five seconds
_SCHEME = "hmac-sha256-bcrypt"

# Strict where the library is lenient: it would read `$2b$+4$`. Of the last characters of salt and digest only
# the upper two and four bits mean anything; with others set, no password would ever match.
_BCRYPT = re.compile(
    r"\$2[aby]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$"
    r"[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)
_OURS = re.compile(rf"\${_SCHEME}\$p=(?P<pepper>[0-9a-f]{{12}})(?P<bcrypt>\$2b\$.+)")


Hashpw = Callable[[bytes, bytes], bytes]
"""`bcrypt.hashpw`: from a key of at most 72 bytes and a setting (or a hash made with it) to a hash."""


class StoredHashError(Exception):
    """No password can be verified against this stored hash: for the operator to repair, not for the user."""


class MalformedHash(StoredHashError, ValueError):  # noqa: N818 - its root says that it is an error
    """The text is not a hash that we can verify."""


class UnknownPepper(StoredHashError):  # noqa: N818 - likewise
    """The hash was made with a pepper that is not among the configured ones."""


@dataclass(frozen=True, slots=True)
class Pepper:
    """A secret that goes into every hash and is kept apart from them. `fingerprint` is its public name."""

    secret: bytes = field(repr=False)
    fingerprint: str

    @classmethod
    def of(cls, secret: bytes) -> "Pepper":
        """Raises ValueError for a secret that is too short to be one."""
        if len(secret) < _PEPPER_BYTES:
            raise ValueError(f"A password pepper has at least {_PEPPER_BYTES} bytes.")
        # The secret only ever keys an HMAC elsewhere, so no password can bring out this digest.
        return cls(secret, hashlib.sha256(b"idp password pepper\0" + secret).hexdigest()[:12])

    def bcrypt_key(self, password: bytes) -> bytes:
        """The whole password in 44 characters without NUL, fewer than bcrypt's 72 bytes."""
        return base64.b64encode(hmac.digest(self.secret, password, "sha256"))


@dataclass(frozen=True, slots=True)
class Peppers:
    """The configured peppers. The first makes hashes, all verify them."""

    first: Pepper
    others: tuple[Pepper, ...] = ()

    @classmethod
    def of(cls, secrets: Iterable[bytes]) -> "Peppers":
        """Raises ValueError if there is none or one is too short."""
        peppers = tuple(map(Pepper.of, secrets))
        if not peppers:
            raise ValueError("There must be a password pepper.")
        return cls(peppers[0], peppers[1:])

    def bcrypt_keys(self, password: bytes) -> dict[str, bytes]:
        """The key that each pepper makes of the password, by fingerprint."""
        return {pepper.fingerprint: pepper.bcrypt_key(password) for pepper in (self.first, *self.others)}


@dataclass(frozen=True, slots=True)
class StoredHash:
    """A stored hash taken apart: bcrypt's own `$2b$12$...` and, if it is ours, its pepper's fingerprint."""

    encoded: str
    cost: int
    pepper: str | None

    @classmethod
    def parse(cls, text: str) -> "StoredHash":
        """Raises MalformedHash, whose message does not show the text."""
        ours = _OURS.fullmatch(text)
        inner = _BCRYPT.fullmatch(ours["bcrypt"] if ours else text)
        if not inner:
            raise MalformedHash("The stored password hash is malformed.")
        return cls(inner[0], int(inner["cost"]), ours["pepper"] if ours else None)

    def is_made_of(self, key: bytes, hashpw: Hashpw) -> bool:
        """Whether bcrypt makes the same hash of this key."""
        encoded = self.encoded.encode("ascii")
        return hmac.compare_digest(hashpw(key, encoded), encoded)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ok`: the password is right. `outdated`: it is, and a new hash of it is to replace what is stored."""

    ok: bool
    outdated: bool


@dataclass(frozen=True, slots=True)
class PasswordHasher:
    """Makes and verifies hashes. Slow on purpose, and pure but for the salt: run it in the `HashPool`.

    `cost` is bcrypt's, for new hashes. `highest_stored_cost` is that of the costliest hash in the database:
    where it exceeds `cost`, every verification is made as slow as that one, lest time tell who was imported.
    """

    peppers: Peppers
    cost: int = 12
    highest_stored_cost: int = 0
    hashpw: Hashpw = field(default=bcrypt.hashpw, repr=False)

    def __post_init__(self) -> None:
        if self.cost not in _COSTS:
            raise ValueError(f"The bcrypt cost is from {_COSTS[0]} to {_COSTS[-1]}.")

    def hash(self, password: str) -> str:
        """What to store of a password."""
        pepper = self.peppers.first
        made = self.hashpw(pepper.bcrypt_key(_encode(normalise(password))), bcrypt.gensalt(self.cost))
        return f"${_SCHEME}$p={pepper.fingerprint}{made.decode('ascii')}"

    def verify(self, password: str, stored: str | None) -> Verdict:
        """Whether `stored` was made of this password; None stands for an unknown user, or one without any.

        Raises StoredHashError, after the same time as any answer takes.
        """
        # All that the typed password may have to be tried as, whosever account it is.
        normal = normalise(password)
        ours, foreign = self.peppers.bcrypt_keys(_encode(normal)), _foreign_keys(password, normal)
        budget = len(foreign) << max(self.cost, self.highest_stored_cost)
        try:
            target = None if stored is None else StoredHash.parse(stored)
            keys = _keys_for(target, ours, foreign)
        except StoredHashError:
            self._spend(budget)
            raise
        if target is None:
            self._spend(budget)
            return Verdict(ok=False, outdated=False)
        matches = [target.is_made_of(key, self.hashpw) for key in keys]  # all are tried, also after a match
        self._spend(budget - (len(keys) << target.cost))
        return Verdict(any(matches), outdated=any(matches) and not self._is_current(target))

    def _is_current(self, target: StoredHash) -> bool:
        return (target.pepper, target.cost) == (self.peppers.first.fingerprint, self.cost)

    def _spend(self, rounds: int) -> None:
        """Works for so many rounds. A hash of cost c takes 2^c: the number's binary digits are the costs."""
        for cost in range(rounds.bit_length() if rounds > 0 else 0):
            if rounds >> cost & 1:
                self.hashpw(b"", b"$2b$%02d$......................" % cost)


def parse_foreign(text: str) -> StoredHash:
    """A hash that another system made, fit to be stored as its `encoded`.

    Raises MalformedHash with a sentence for whoever imports it.
    """
    try:
        foreign = StoredHash.parse(text)
    except MalformedHash as problem:
        raise MalformedHash("Only bcrypt hashes can be imported: $2a$, $2b$ or $2y$ and 60 characters.") from problem
    if foreign.pepper is not None:
        raise MalformedHash("This is a hash of idp itself, bound to its pepper: it cannot be imported.")
    if foreign.cost > MAX_FOREIGN_COST:
        raise MalformedHash(f"The cost of a hash to be imported can be {MAX_FOREIGN_COST} at most.")
    return foreign


def _keys_for(target: StoredHash | None, ours: dict[str, bytes], foreign: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if target is None or target.pepper is None:
        return foreign
    if target.pepper not in ours:
        raise UnknownPepper(
            f"A password hash was made with the pepper {target.pepper}, which is not in IDP_PASSWORD_PEPPER."
        )
    return (ours[target.pepper],)


def _encode(text: str) -> bytes:
    """UTF-8, for whatever can be typed or sent: even halves of a surrogate pair give a no, not an error."""
    return text.encode("utf-8", "surrogatepass")


def _foreign_keys(*spellings: str) -> tuple[bytes, ...]:
    """What another system may have given to bcrypt for these spellings: 72 bytes of each different one.

    A NUL counts like any other byte. Systems in C stopped at it, but to do so here would let the start of a
    password pass for the whole.
    """
    return tuple(dict.fromkeys(_encode(text)[:_BCRYPT_BYTES] for text in spellings))
