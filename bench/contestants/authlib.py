"""The OAuth 2.0 server of Authlib's documentation for Flask, on gunicorn and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.contestants import CLIENT, SCOPE, Contestant
from bench.contestants.installing import python_packages
from bench.ground import ROOT, Ground
from bench.load import Request, form
from bench.servers import Asked, Server, free_port, started

REQUIREMENTS = (
    "authlib==1.9.9",
    "flask==3.1.3",
    "werkzeug==3.1.9",
    "gunicorn==27.0.1",
    "sqlalchemy==2.1.9",
    "psycopg[binary]==3.3.9",
    "cryptography==50.0.2",
)
WORKERS = 2
_HEALTH = Request("GET", "/health")
_ASKED = Asked(
    token=form("/oauth/token", CLIENT, grant_type="client_credentials", scope=SCOPE), keys=_HEALTH, cheap=_HEALTH
)


@contextmanager
def _start(ground: Ground) -> Iterator[Server]:
    python = python_packages(*REQUIREMENTS)
    port = free_port()
    serving = [str(python), "-m", "gunicorn", "authlib_server:app", "--bind", f"127.0.0.1:{port}"]
    # Threads keep connections alive, which gunicorn's plain workers do not.
    shape = ["--workers", str(WORKERS), "--worker-class", "gthread", "--threads", "8", "--preload"]
    place = ["--chdir", str(ROOT / "bench" / "contestants" / "programs"), "--log-level", "warning"]
    with started(
        AUTHLIB.name,
        [*serving, *shape, *place],
        _ASKED,
        port=port,
        folder=ground.folder,
        processes=WORKERS,
        environment={"DATABASE_URL": ground.database("authlib"), "CLIENT_ID": CLIENT[0], "CLIENT_SECRET": CLIENT[1]},
    ) as server:
        yield server


AUTHLIB = Contestant("Authlib on gunicorn", _start)
