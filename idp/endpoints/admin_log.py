"""`GET /admin/audit` and `GET /admin/keys`: what happened, and which keys there are."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.answers import json_answer
from idp.endpoints.bearer import Bearer
from idp.endpoints.paging import page_of, positive
from idp.protocol.ports import Clock
from idp.store.audit import AuditLog, AuditRecord
from keys.keyring import Keyring, StoredKey


def rfc3339(instant: float | None) -> str | None:
    """An instant as people and programs read it."""
    if instant is None:
        return None
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def audit_record(record: AuditRecord) -> dict[str, Any]:
    return {**asdict(record), "at": rfc3339(record.at)}


def key_record(key: StoredKey, now: float) -> dict[str, Any]:
    """A key's phase and instants, as CONTRACT names them."""
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


@dataclass(frozen=True, slots=True)
class AdminAuditEndpoint:
    """The audit log, newest first; `?event=` and `?subject=` narrow it."""

    bearer: Bearer
    audit_log: AuditLog

    async def list(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        page = page_of(request, positive)
        query = request.query_params
        found = await self.audit_log.page(
            before=page.after,
            limit=page.limit + 1,
            event=_word(query.get("event")),
            subject=_word(query.get("subject")),
        )
        return json_answer(page.body("events", found, audit_record, lambda record: str(record.id)))


def _word(text: str | None) -> str | None:
    return text.replace("\0", "") if text else None


@dataclass(frozen=True, slots=True)
class AdminKeysEndpoint:
    """The signing keys."""

    bearer: Bearer
    keyring: Keyring
    clock: Clock

    async def list(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        now = self.clock()
        return json_answer({"keys": [key_record(key, now) for key in self.keyring.keys]})
