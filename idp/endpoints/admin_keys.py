"""`/admin/keys`: which keys there are, letting the next one sign, and ending one that is not ours alone any more."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.answers import Problem, json_answer
from idp.endpoints.bearer import Bearer
from idp.endpoints.instants import rfc3339
from idp.endpoints.json_body import flag, read_members
from idp.protocol.ports import Clock
from idp.signing.operations import KeyOperations, RevocationAnswer, RotationAnswer
from idp.signing.readers import JwksReaders, ReaderState
from keys.keyring import Keyring, StoredKey
from keys.planning import NoSuchKeyError


def key_record(key: StoredKey, now: float) -> dict[str, Any]:
    """A key's phase and instants."""
    life = key.lifetime
    return {
        "kid": key.kid,
        "alg": key.alg,
        "phase": life.phase(now).value,
        "publish_at": rfc3339(life.publish_at),
        "sign_from": rfc3339(life.sign_from),
        "sign_until": rfc3339(life.sign_until),
        "verify_until": rfc3339(life.verify_until),
        "revoked_at": rfc3339(life.revoked_at),
    }


def reader_record(reader: ReaderState) -> dict[str, Any]:
    """Whether a reader of the JWK Set has fetched the next key; `unknown` also when it may well have."""
    return {"name": reader.name, "state": reader.state, "seen_at": rfc3339(reader.seen_at)}


def rotation_record(answer: RotationAnswer, max_age: int) -> dict[str, Any]:
    """When the next key signs, and who could notice."""
    life = answer.key.lifetime
    return {
        "kid": answer.key.kid,
        "sign_from": rfc3339(life.sign_from),
        "immediate": answer.immediate,
        "noticed_until": rfc3339(answer.noticed_until),
        "notice": _notice(answer, max_age),
    }


def _notice(answer: RotationAnswer, max_age: int) -> str:
    if answer.noticed_until is None:
        return f"No verifier that honours max-age ({max_age} s) can notice: all of them have this key before it signs."
    published = rfc3339(answer.key.lifetime.publish_at)
    return (
        f"Verifiers that fetched the JWK Set before {published} reject tokens of this key until they fetch it again: "
        f"within {max_age} s where they honour max-age, at the next unknown kid where they refetch on one, and by "
        f"{rfc3339(answer.noticed_until)} at the latest where they keep to what the publish-ahead was set for."
    )


def revocation_record(answer: RevocationAnswer, max_age: int) -> dict[str, Any]:
    """What a revocation means: whose tokens it ends, and who may accept them for how long yet."""
    revoked_at = answer.revoked.lifetime.revoked_at
    assert revoked_at is not None
    unseen_from = answer.unseen.lifetime.sign_from
    return {
        "kid": answer.revoked.kid,
        "revoked_at": rfc3339(revoked_at),
        "signing": answer.signing.kid,
        "tokens_alive": dict(answer.alive),
        "may_still_be_accepted": {
            "by verifiers that honour max-age": rfc3339(revoked_at + max_age),
            "by verifiers that refetch on an unknown kid only": rfc3339(unseen_from),
            "by verifiers that never refetch": "until they are restarted; their operators must be told",
        },
        "next_unseen_kid": answer.unseen.kid,
    }


@dataclass(frozen=True, slots=True)
class AdminKeysEndpoint:
    """The signing keys, for administrators. `max_age` is what verifiers may cache for, shared caches included."""

    bearer: Bearer
    keyring: Keyring
    operations: KeyOperations
    readers: JwksReaders
    clock: Clock
    max_age: int

    async def list(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        now = self.clock()
        keys = self.keyring.keys
        readers = await self.readers.states(keys)
        return json_answer(
            {
                "keys": [key_record(key, now) for key in keys],
                "readers": [reader_record(reader) for reader in readers],
            }
        )

    async def rotate(self, request: Request) -> Response:
        """202 for a rotation that this request made, 200 for one that was under way."""
        actor = await self.bearer.administrator(request)
        members = await read_members(request)
        immediate = members.take("now", flag, False)
        members.finish()
        answer = await self.operations.rotate(actor, immediate=immediate)
        return json_answer(rotation_record(answer, self.max_age), 202 if answer.new else 200)

    async def revoke(self, request: Request) -> Response:
        actor = await self.bearer.administrator(request)
        try:
            answer = await self.operations.revoke(request.path_params["kid"].replace("\0", ""), actor)
        except NoSuchKeyError as error:
            raise Problem(404, str(error)) from None
        return json_answer(revocation_record(answer, self.max_age))
