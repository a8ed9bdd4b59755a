"""What a requester writes never becomes a line of ours: not in the log, not in the audit log, not in a header."""

import json
import re
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.operation.serving import environment, serving

FORGED = '{"event":"forged"}'
EVIL = f"\x1b[31mred\x1b]0;title\x07\r\n{FORGED}\r\n\u2028\x9b"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def requests(http: httpx.Client) -> None:
    """Every place into which something can be written."""
    form = {"grant_type": "password", "username": EVIL, "password": EVIL}
    assert http.post("/token", data=form).status_code == 400
    assert http.post("/token", data=form | {"client_id": EVIL, "scope": EVIL}).status_code == 401
    assert http.post("/token", data={"grant_type": EVIL, EVIL: EVIL}).status_code == 400
    assert http.post("/token", auth=(EVIL, EVIL), data={"grant_type": "client_credentials"}).status_code == 401
    assert http.get("/%1b%5b31m%0d%0a" + FORGED).status_code == 404
    assert http.get("/healthz", params={"a": EVIL}).status_code == 200
    headers = [(b"User-Agent", b"agent \x9b31m"), (b"X-Forwarded-For", b"198.51.100.1 \x9b31m"), (b"Referer", b"\x9b")]
    assert http.get("/healthz", headers=headers).is_success
    assert http.get("/users/me", headers=[(b"Authorization", b"Bearer \x9b31m\xff")]).status_code == 401
    assert http.request("EVIL", "/healthz").status_code in (400, 405)


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_logs(database: str, tmp_path: Path, log_format: str) -> None:
    settings = environment(database, IDP_LOG_FORMAT=log_format, IDP_LOG_LEVEL="DEBUG", IDP_TRUSTED_PROXIES="127.0.0.1")
    with serving(tmp_path, settings) as process:
        with httpx.Client(base_url=process.url) as http:
            requests(http)
        assert process.stop() == 0
    written = process.output.read_bytes().decode()
    assert not CONTROL.search(written)
    lines = [line for line in written.splitlines() if not line.startswith("idp: ")]
    assert len(lines) >= 9
    for line in lines:
        if log_format == "json":
            assert json.loads(line)["event"] != "forged"
        else:
            assert re.match(r"\d\d:\d\d:\d\d (debug|info|warning|error) |    ", line), line
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("select audit_log::text as line from audit_log")
    finally:
        await connection.close()
    assert rows
    assert not any(CONTROL.search(row["line"]) or "forged" in row["line"] for row in rows)
