"""The login service that tutorials of FastAPI teach, at bcrypt's cost 12 and with RS256."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.contestants import Contestant
from bench.contestants.installing import python_packages
from bench.ground import ROOT, Ground
from bench.load import Request, form
from bench.servers import Asked, Server, free_port, started

LOGIN = form("/token", grant_type="password", username="alice", password="correct horse battery staple")  # noqa: S106
_CHEAP = Request("GET", "/health")


@contextmanager
def _start(ground: Ground) -> Iterator[Server]:
    requirements = ("fastapi", "uvicorn[standard]", "python-multipart", "pyjwt[crypto]", "bcrypt")
    port = free_port()
    command = [str(python_packages(*requirements)), "-m", "uvicorn", "tutorial:app", "--port", str(port)]
    quiet = ["--no-access-log", "--app-dir", str(ROOT / "bench" / "contestants" / "programs")]
    asked = Asked(token=LOGIN, keys=_CHEAP, cheap=_CHEAP)
    with started(TUTORIAL.name, [*command, *quiet], asked, port=port, folder=ground.folder) as server:
        yield server


TUTORIAL = Contestant("FastAPI tutorial", _start)
