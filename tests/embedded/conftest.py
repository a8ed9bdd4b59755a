"""Home folders for clusters, and clients that use them."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.clusters import Client, await_stop, cluster_of


@pytest.fixture
def start_client() -> Iterator[Callable[[Path], Client]]:
    """Starts clients, and kills at the end those that are left."""
    clients: list[Client] = []

    def start(home: Path) -> Client:
        clients.append(Client(home))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can reach."""
    yield from _folder()


@pytest.fixture
def home(folder: Path) -> Iterator[Path]:
    """A home folder without a cluster, whose server is gone at the end."""
    yield folder / "home"
    if (folder / "home" / "cluster").exists():
        await_stop(cluster_of(folder / "home"))


@pytest.fixture(scope="module")
def kept_home() -> Iterator[Path]:
    """A home folder that the tests of a module use one after the other."""
    for folder in _folder():
        yield folder / "home"
        await_stop(cluster_of(folder / "home"))


def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="idp-embedded-") as name:
        Path(name).chmod(0o711)
        yield Path(name)
