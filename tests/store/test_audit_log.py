"""The audit log keeps the order, pages without gaps, and stores whatever strangers send."""

import pytest

from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Origin
from idp.store import Aggregates, Store

ORIGIN = Origin("192.0.2.1", "request")


def event(name: str, *, actor: str | None = None, subject: str | None = None, **detail: str) -> AuditEvent:
    return AuditEvent(name, "success", ORIGIN, actor=actor, subject=subject, detail=detail)


async def test_an_event_comes_back_as_it_was_stored(store: Store) -> None:
    stored = AuditEvent("login.failed", "failure", ORIGIN, "actor", "subject", "client", {"reason": "wrong", "é": "ü"})
    await store.audit.add(stored)
    (record,) = await store.audit.page(event="login.failed")
    assert record.at == pytest.approx(await store.now(), abs=5)
    assert (record.event, record.outcome, record.actor, record.subject, record.client_id) == (
        "login.failed",
        "failure",
        "actor",
        "subject",
        "client",
    )
    assert (record.source, record.request_id, record.detail) == ("192.0.2.1", "request", {"reason": "wrong", "é": "ü"})


async def test_pages_hold_every_event_once_newest_first(store: Store) -> None:
    await store.audit.add(*(event("counted", number=str(number)) for number in range(25)))
    seen: list[int] = []
    before = None
    while page := await store.audit.page(before=before, limit=10, event="counted"):
        seen += [int(record.detail["number"]) for record in page]
        before = page[-1].id
    assert seen == list(reversed(range(25)))


async def test_events_are_found_by_whom_they_concern(store: Store) -> None:
    await store.audit.add(
        event("one", actor="ada"), event("two", subject="ada"), event("three", actor="bob"), event("one", actor="bob")
    )
    assert [record.event for record in await store.audit.page(subject="ada")] == ["two", "one"]
    assert [record.event for record in await store.audit.page(subject="bob", event="one")] == ["one"]


@pytest.mark.parametrize(
    "text", ["nul\0", "surrogate\ud800", "\x1b[2J\r\n", "'; drop table audit_log; --", "x" * 10_000]
)
async def test_nothing_that_a_stranger_sends_keeps_an_event_from_the_log(text: str, store: Store) -> None:
    origin = Origin(text, text)
    await store.audit.add(AuditEvent("strange", "refused", origin, text, text, text, {text: text}))
    (record,) = await store.audit.page(event="strange")
    assert len(record.source) == len(text)


async def test_an_event_goes_with_its_transaction(store: Store) -> None:
    async def fail(aggregates: Aggregates) -> None:
        await aggregates.audit.add(event("undone"))
        raise KeyError

    with pytest.raises(KeyError):
        await store.transact(fail)
    assert await store.audit.page(event="undone") == []
