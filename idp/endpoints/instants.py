"""Instants as people and programs read them (RFC 3339)."""

from datetime import UTC, datetime


def rfc3339(instant: float | None) -> str | None:
    """POSIX seconds as UTC to the millisecond; None stays None."""
    if instant is None:
        return None
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
