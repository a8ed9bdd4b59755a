"""Resource services, which cache the JWK Set for exactly its max-age and never ask earlier."""

from dataclasses import dataclass

from idp.store.database import DatabaseUnavailable
from idp_verifier import KeySet, verify_token
from keys.keyring import NoSigningKeyError
from tests.keys.database import Time
from tests.keys.instance import AUDIENCE, ISSUER, Instance
from tests.keys.tokens import Token

UNREACHABLE = (NoSigningKeyError, DatabaseUnavailable)


@dataclass(frozen=True, slots=True)
class Answer:
    """A JWK Set as it was served, and when. `by_one_well`: by an instance that was in touch with the database."""

    body: bytes
    kids: frozenset[str]
    max_age: float
    at: float
    by_one_well: bool


def serve(instance: Instance) -> Answer | None:
    """What the endpoint answers, None when it says that it cannot; from one reading of the clock."""
    now = instance.clock()
    try:
        jwks = instance.keyring.jwks(now)
    except UNREACHABLE:
        return None
    assert jwks.keys, "the JWK Set is never empty"
    kids = frozenset(str(key["kid"]) for key in jwks.keys)
    return Answer(jwks.body, kids, instance.keyring.max_age(now), instance.time.now, instance.well)


@dataclass(slots=True)
class SharedCache:
    """A CDN that hands out what it has for `ttl` seconds, without a word about its age."""

    time: Time
    ttl: float
    held: Answer | None = None

    def fetch(self, instance: Instance | None) -> Answer | None:
        if self.held is None or self.time.now >= self.held.at + self.ttl:
            self.held = serve(instance) if instance else None
        return self.held


@dataclass(slots=True)
class Verifier:
    """Its clock is off by `offset` and it has `leeway`; together they are within the skew that the settings speak of.

    `slow` is what an answer takes to it, in seconds. An `eager` one has a token to verify whenever its keys run out.
    """

    time: Time
    offset: float
    leeway: float
    slow: float
    route: int
    cached: bool
    eager: bool
    answer: Answer | None = None
    keyset: KeySet | None = None
    until: float = float("-inf")

    @property
    def kids(self) -> frozenset[str]:
        return self.answer.kids if self.answer else frozenset()

    @property
    def fresh(self) -> bool:
        return self.answer is not None and self.time.now < self.until

    def take(self, answer: Answer) -> None:
        """Keeps the set from when it arrives, for exactly max-age."""
        if answer is not self.answer:
            self.keyset = KeySet.parse(answer.body)
        self.answer = answer
        self.until = self.time.now + self.slow + answer.max_age

    def in_time(self, token: Token) -> bool:
        """Whether the token has not expired. Few verifiers look at `iat`, so the model asks more than most of them."""
        return self.time.now + self.offset < token.exp + self.leeway

    def can_verify(self, token: Token) -> bool:
        """Whether it has the key of a token that has begun and not expired."""
        begun = token.iat <= self.time.now + self.offset + self.leeway
        return self.fresh and token.kid in self.kids and begun and self.in_time(token)

    def verify(self, token: Token) -> None:
        """Raises VerificationError."""
        assert self.keyset is not None
        verify_token(
            token.text,
            self.keyset,
            issuer=ISSUER,
            audience=AUDIENCE,
            now=self.time.now + self.offset,
            leeway=self.leeway,
        )
