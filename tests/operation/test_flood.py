"""A flood of logins: what can be hashed in time is, the rest is turned away, and everything else goes on."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx

from idp.cli.directories import directories
from tests import builders
from tests.builders import PASSWORD
from tests.operation.serving import environment, serving, settings_of

LOGINS = 50


async def guess(http: httpx.AsyncClient, number: int) -> httpx.Response:
    """At an account, and from a place, of its own: what bounds these is not throttling."""
    source = {"X-Forwarded-For": f"198.18.0.{number}"}
    return await http.post("/token", data={"username": f"nobody{number}", "password": "wrong"}, headers=source)


async def test_at_production_cost(database: str, tmp_path: Path) -> None:
    hashing = {"IDP_BCRYPT_COST": "12", "IDP_HASH_CONCURRENCY": "1"}
    # A disk that is slow to commit would be what bounds them, rather than hashing.
    settings = environment(f"{database}&synchronous_commit=off", IDP_TRUSTED_PROXIES="127.0.0.1", **hashing)
    async with directories(settings_of(database)) as directory:
        user, client = await builders.user(directory), await builders.client(directory)
    with serving(tmp_path, settings) as process:
        async with httpx.AsyncClient(base_url=process.url, timeout=60, limits=httpx.Limits()) as http:
            started = time.monotonic()
            flood = [asyncio.create_task(guess(http, number)) for number in range(LOGINS)]
            others = Counter[int]()
            while not all(login.done() for login in flood):
                for path in ("/healthz", "/.well-known/jwks.json", "/.well-known/openid-configuration"):
                    others[(await http.get(path)).status_code] += 1
                form = {"grant_type": "client_credentials"}
                others[(await http.post("/token", data=form, auth=client.auth)).status_code] += 1
                await asyncio.sleep(0.02)
            answers = [login.result() for login in flood]
            assert time.monotonic() - started < 60  # a queue without end, on a busy machine, would take longer
            assert others.keys() == {200}
            assert others.total() > 20
            outcomes = Counter((answer.status_code, answer.json()["error"]) for answer in answers)
            assert outcomes.keys() == {(400, "invalid_grant"), (503, "temporarily_unavailable")}, outcomes
            assert outcomes[503, "temporarily_unavailable"] >= LOGINS // 4
            assert all(1 <= int(answer.headers["retry-after"]) <= 10 for answer in answers if answer.is_server_error)
            login = await http.post("/token", data={"username": user.email, "password": PASSWORD})
            assert login.status_code == 200
