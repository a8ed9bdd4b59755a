"""How often PostgreSQL flushes its log to the disk for a token, a login and a refresh: `python -m bench.speed.flushes`.

Asked one by one, and by 32 callers at once, whose commits share flushes. No promise hangs on it, so `make bench` leaves
it out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import asyncpg

from bench.contestants.idp import IDP, PEOPLE, answered, logins_of_people, prepared, refreshing, serving_on
from bench.ground import Ground, ground
from bench.load import CONNECTIONS, Request, ask
from bench.servers import Server

SECONDS = 5.0
ALONE = 300
"""How many are asked one by one."""
_TOLD = 11.0
"""Seconds after which PostgreSQL has counted what an idle session did."""
_COUNTED = "select sum(fsyncs)::int from pg_stat_io where object = 'wal' and context = 'normal'"


class Flushes:
    """Counts them, of all of PostgreSQL: nobody else is on it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def of(self, work: Callable[[], int]) -> tuple[float, float]:
        """For each of what `work` counts, and in each second of it."""
        before, start = self._so_far(), time.monotonic()
        count = work()
        took = time.monotonic() - start
        flushes = self._so_far() - before
        return flushes / count, flushes / took

    def _so_far(self) -> int:
        time.sleep(_TOLD)
        return asyncio.run(self._read())

    async def _read(self) -> int:
        connection = await asyncpg.connect(self._dsn)
        try:
            flushes: int = await connection.fetchval(_COUNTED)
            return flushes
        finally:
            await connection.close()


def one_by_one(server: Server, requests: Sequence[Request]) -> int:
    for request in requests:
        answered(server, request)
    return len(requests)


def at_once(server: Server, requests: Sequence[Request]) -> int:
    return ask(server.port, [request.text() for request in requests], SECONDS).report().count


def refreshes_one_by_one(server: Server, token: str) -> int:
    for _ in range(ALONE):
        token = answered(server, refreshing(token))["refresh_token"]
    return ALONE


def measure(standing: Ground) -> None:
    installed = prepared(standing, IDP.name, people=PEOPLE, IDP_BCRYPT_COST="4")
    flushes = Flushes(installed.settings.database_url)

    def show(what: str, work: Callable[[], int]) -> None:
        each, a_second = flushes.of(work)
        print(f"{what:40} {each:6.2f} for each, {a_second:6.1f} a second")

    with serving_on(standing, IDP.name, installed) as server:
        token, logins = server.asked.token, logins_of_people(ALONE)
        answered(server, token)
        show("tokens for clients, one by one", lambda: one_by_one(server, [token] * ALONE))
        show("tokens for clients, 32 at once", lambda: at_once(server, [token] * CONNECTIONS))
        show("logins from a new place, one by one", lambda: one_by_one(server, logins[:PEOPLE]))
        show("logins from a known place, one by one", lambda: one_by_one(server, logins))
        show("logins from a known place, 16 at once", lambda: at_once(server, logins[:PEOPLE]))
        held = [answered(server, login)["refresh_token"] for login in logins[:CONNECTIONS]]
        show("refreshes, one by one", lambda: refreshes_one_by_one(server, held.pop()))
        show("refreshes, 31 at once", lambda: at_once(server, [refreshing(token) for token in held]))


def main() -> None:
    with ground(SECONDS, 1) as standing:
        measure(standing)


if __name__ == "__main__":
    main()
