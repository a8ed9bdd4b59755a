"""The login service that tutorials of FastAPI teach, at bcrypt's cost 12 and with RS256."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.contestants import Contestant
from bench.contestants.installing import python_packages
from bench.ground import ROOT, Ground
from bench.load import Request, form
from bench.servers import Asked, Server, free_port, started

REQUIREMENTS = (
    "fastapi==0.165.0",
    "starlette==1.10.0",
    "pydantic==2.14.3",
    "uvicorn[standard]==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
    "python-multipart==0.0.34",
    "pyjwt[crypto]==2.15.1",
    "cryptography==50.0.2",
    "bcrypt==5.0.0",
)
LOGIN = form("/token", grant_type="password", username="alice", password="correct horse battery staple")  # noqa: S106
_CHEAP = Request("GET", "/health")


@contextmanager
def _start(ground: Ground) -> Iterator[Server]:
    port = free_port()
    command = [str(python_packages(*REQUIREMENTS)), "-m", "uvicorn", "tutorial:app", "--port", str(port)]
    quiet = ["--no-access-log", "--app-dir", str(ROOT / "bench" / "contestants" / "programs")]
    asked = Asked(token=LOGIN, keys=_CHEAP, cheap=_CHEAP)
    with started(TUTORIAL.name, [*command, *quiet], asked, port=port, folder=ground.folder) as server:
        yield server


TUTORIAL = Contestant("FastAPI tutorial", _start)
