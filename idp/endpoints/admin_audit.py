"""`GET /admin/audit`: what happened."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.answers import json_answer
from idp.endpoints.bearer import Bearer
from idp.endpoints.instants import rfc3339
from idp.endpoints.paging import page_of, positive
from idp.store.audit import AuditLog, AuditRecord


def audit_record(record: AuditRecord) -> dict[str, Any]:
    return {**asdict(record), "at": rfc3339(record.at)}


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
