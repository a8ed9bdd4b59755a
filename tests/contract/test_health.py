"""`/healthz`, `/readyz`, `/metrics`, and what every answer carries."""

import re

import httpx
import pytest

from idp.cli.directories import Directories
from tests import builders
from tests.contract.asking import bearer, token, token_of


async def test_alive(http: httpx.AsyncClient) -> None:
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert answer.headers["cache-control"] == "no-store"


async def test_ready(http: httpx.AsyncClient) -> None:
    answer = await http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"] == dict.fromkeys(("database", "schema", "keys", "clock"), "ok")


async def test_a_schema_that_has_moved_on_is_not_served(http: httpx.AsyncClient, directory: Directories) -> None:
    """A newer version has migrated it under this one."""
    try:
        await directory.store.executor.execute("update schema_info set minimum_revision = '9999'")
        answer = await http.get("/readyz")
    finally:
        await directory.store.executor.execute("update schema_info set minimum_revision = '0001'")
    assert answer.status_code == 503
    assert "Start a newer version" in answer.json()["checks"]["schema"]


async def test_metrics(http: httpx.AsyncClient, directory: Directories) -> None:
    async def counts() -> dict[str, float]:
        answer = await http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    before = await counts()
    client, user = await builders.client(directory), await builders.user(directory)
    await token(http, client)
    await token_of(http, user)
    await http.post("/token", data={"username": user.email, "password": "wrong"})
    await http.get(f"/admin/users/{user.id}", headers=bearer("x"))
    await http.get("/a/path/of/the/requesters/choosing")
    await http.request("PROPFIND", "/healthz")
    after = await counts()

    def counted(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert counted('idp_tokens_issued_total{grant_type="client_credentials"}') == 1
    assert counted('idp_tokens_issued_total{grant_type="password"}') == 1
    assert counted('idp_tokens_refused_total{error="invalid_grant"}') == 1
    assert counted('idp_http_requests_total{method="POST",route="/token",status="200"}') == 2
    assert counted('idp_http_requests_total{method="GET",route="/admin/users/{user_id}",status="401"}') == 1
    assert counted('idp_http_requests_total{method="GET",route="other",status="404"}') == 1
    assert counted('idp_http_request_seconds_count{route="/token"}') == 3
    assert not any("choosing" in name or "PROPFIND" in name or str(user.id) in name for name in after)


ANSWERS = [
    ("GET", "/healthz"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/users/me"),
    ("GET", "/nothing"),
    ("GET", "/nothing/"),
    ("GET", "/users/me/"),
    ("POST", "/token"),
    ("GET", "/token"),
    ("OPTIONS", "/token"),
    ("TRACE", "/healthz"),
    ("GET", "/admin/users"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
async def test_every_answer(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path)
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "cache-control" in answer.headers
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers  # this issuer is plain http on loopback


async def test_a_request_id_is_never_taken_from_the_request(http: httpx.AsyncClient) -> None:
    answer = await http.get("/healthz", headers={"X-Request-Id": "mine"})
    assert answer.headers["x-request-id"] != "mine"


@pytest.mark.parametrize("path", ["/users/me/", "/admin/users/", "/token/", "/healthz/", "//evil.example.com/"])
async def test_r20_no_redirect_to_wherever_host_says(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers={"Host": "evil.example.com"})
    assert answer.status_code == 404
    assert "location" not in answer.headers
