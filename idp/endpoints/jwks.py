"""`GET /.well-known/jwks.json`: the public keys, from memory (RFC 7517 §5)."""

from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.answers import Answer, fields, unavailable
from idp.endpoints.envelope import origin_of
from idp.endpoints.fields import field_values
from idp.protocol.ports import Clock
from idp.signing.readers import JwksReaders
from keys.keyring import Keyring, NoSigningKeyError


@dataclass(frozen=True, slots=True)
class JwksEndpoint:
    """Serves the JWK Set."""

    keyring: Keyring
    readers: JwksReaders
    clock: Clock

    async def handle(self, request: Request) -> Response:
        try:
            now = self.clock()
            jwks = self.keyring.jwks(now)
        except NoSigningKeyError:
            raise unavailable("No key is available.") from None
        conditions = field_values(request.scope, b"if-none-match")
        current = bool(conditions) and is_current(", ".join(conditions), jwks.etag)
        self.readers.saw(reader_name(request), jwks.keys[-1]["kid"], confirmed=current)
        return _answer(None if current else jwks.body, jwks.etag, self.keyring.max_age(now))


@lru_cache(8)
def _answer(body: bytes | None, etag: str, max_age: int) -> Response:
    """It is the same for everybody, until the keys change or the time for which they may be kept."""
    headers = {"Cache-Control": f"public, max-age={max_age}, must-revalidate", "ETag": etag}
    if body is None:
        return Response(status_code=304, headers=headers)
    return Answer(body, 200, fields({"Content-Type": "application/json", **headers}))


def reader_name(request: Request) -> str:
    """Who reads: the name that it gives itself with `?verifier=`, else its software and where it comes from."""
    name = request.query_params.get("verifier") if request.scope["query_string"] else None
    if not name:
        agents = field_values(request.scope, b"user-agent")
        name = f"{agents[0][:80] if agents else 'unknown software'} at {origin_of(request.scope).source}"
    name = name[:120]
    return name if name.isprintable() else "".join(char if char.isprintable() else "?" for char in name)


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Whether the condition names this ETag; the comparison is the weak one (RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    named = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in named or "*" in named
