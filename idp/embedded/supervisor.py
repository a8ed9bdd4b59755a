"""Owns the postmaster: `python -m idp.embedded.supervisor HOME` serves a home folder while somebody uses it.

Any number may be started; one serves and the others give way at once. The server runs while a client holds
`clients.lock`. It is started again if it dies, and stopped when the last client is gone or a signal says so.
With `--detach` the supervisor lives on in the background.

On standard output comes one sentence if PostgreSQL cannot serve. It is closed as soon as the server is ready,
so whoever reads it to its end knows the outcome.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from idp.embedded import server
from idp.embedded.account import Account, server_account
from idp.embedded.binaries import Programs, find_programs, readable_programs
from idp.embedded.cluster import Cluster, locate
from idp.embedded.errors import EmbeddedPostgresError
from idp.embedded.locks import EXCLUSIVE, hold, is_held, open_lock, try_lock

_TICK_SECONDS = 0.1
_STARTING_TICK_SECONDS = 0.01
_ORPHAN_SECONDS = 30.0


class Departure:
    """Tells when to go: a signal asked for it, or no client is left.

    Once the clients' lock is ours it stays so until this process ends, and newcomers wait for that.
    """

    def __init__(self, clients: int) -> None:
        self._clients = clients
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def is_due(self) -> bool:
        """Whether it is time."""
        return self._asked or try_lock(self._clients, EXCLUSIVE)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


def supervise(home: Path) -> None:
    """Serves until nobody needs it; returns at once if another supervisor does.

    Raises `EmbeddedPostgresError` if PostgreSQL cannot serve.
    """
    account = server_account()
    cluster = locate(home, account)
    lock = open_lock(cluster.supervisor_lock)
    clients = open_lock(cluster.clients_lock)
    try:
        if try_lock(lock, EXCLUSIVE):
            _serve(cluster, account, Departure(clients))
    finally:
        # In this order, so that a client that was let in finds no supervisor that is about to go.
        os.close(lock)
        os.close(clients)


def _serve(cluster: Cluster, account: Account, departure: Departure) -> None:
    _empty_log()
    programs = _prepare(cluster, account)
    while not departure.is_due():
        with _server_lock(cluster) as inherited:
            if cluster.major is None:
                server.initialise(cluster, programs, account, inherited)
            postmaster = server.start(cluster, programs, account, inherited)
        try:
            _watch(postmaster, cluster, departure)
        finally:
            server.stop(postmaster)
            shutil.rmtree(cluster.socket_folder, ignore_errors=True)


def _empty_log() -> None:
    """The log holds one run. It is opened for appending, so the server goes on at its new end."""
    with suppress(OSError):  # a terminal or a pipe, when started by hand
        os.ftruncate(sys.stderr.fileno(), 0)


def _prepare(cluster: Cluster, account: Account) -> Programs:
    """What can be done beside a server that is still going: permissions, configuration, programs."""
    cluster.folder.chmod(0o700 if account.is_starter else 0o711)
    if not account.can_reach(cluster.folder):
        raise EmbeddedPostgresError(
            f"The account {account.name}, which runs PostgreSQL for root, cannot reach {cluster.folder}: "
            f"give it search permission (chmod o+x) on the folders above, or choose another data folder."
        )
    cluster.configure(account)
    return readable_programs(find_programs(cluster.major), account, cluster.folder)


@contextmanager
def _server_lock(cluster: Cluster) -> Iterator[int]:
    """Waits for the processes of an earlier server, if any are left, and holds their lock."""
    if is_held(cluster.server_lock):
        server.interrupt_orphan(cluster)
    try:
        with hold(cluster.server_lock, EXCLUSIVE, timeout=_ORPHAN_SECONDS) as descriptor:
            yield descriptor
    except TimeoutError:
        raise EmbeddedPostgresError(
            f"An earlier PostgreSQL on {cluster.data} does not stop: end its processes, then start again."
        ) from None


def _watch(postmaster: subprocess.Popen[bytes], cluster: Cluster, departure: Departure) -> None:
    """Tells when the server is ready; returns when it has died or is not needed any more."""
    while not server.is_ready(cluster):
        if postmaster.poll() == -signal.SIGKILL:
            return  # somebody killed it while it was starting: nothing that it said, so it is tried again
        if postmaster.poll() is not None:
            raise EmbeddedPostgresError(server.failure("PostgreSQL did not start", cluster))
        if departure.is_due():
            return
        time.sleep(_STARTING_TICK_SECONDS)
    _close_output()
    while postmaster.poll() is None and not departure.is_due():
        time.sleep(_TICK_SECONDS)


def _close_output() -> None:
    """Tells who waits for our first words that there will be none."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def main(home: str, mode: str = "") -> int:
    """Serves `home`; the exit code is 0, or 1 after a sentence on standard output."""
    if mode == "--detach" and os.fork():
        os._exit(0)  # so that the client has no child to bury
    os.umask(0o077)
    try:
        supervise(Path(home))
    except EmbeddedPostgresError as error:
        with suppress(BrokenPipeError):  # nobody waits any more
            os.write(sys.stdout.fileno(), f"{error}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
