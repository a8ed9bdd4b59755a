"""Real processes that share an embedded PostgreSQL, and looks behind the scenes at who runs."""

import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil  # types-psutil is not among the pins

from idp.embedded.account import server_account
from idp.embedded.cluster import Cluster, locate
from idp.embedded.locks import EXCLUSIVE, hold

# Attaches, says so, and stays until its standard input ends. Ctrl-C does not end it: it has work to finish.
CLIENT = """
import signal, sys
from pathlib import Path
from idp.embedded import attach

signal.signal(signal.SIGINT, signal.SIG_IGN)
with attach(Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    sys.stdin.read()
"""


class Client:
    """Another process that uses the server of a home folder."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def dsn(self) -> str:
        """Waits until it is attached."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """Ends it in good order."""
        self.process.communicate()

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        self.process.kill()
        self.process.communicate()


def cluster_of(home: Path) -> Cluster:
    """The cluster in a home folder, without starting it."""
    return locate(home, server_account())


def postmaster_of(cluster: Cluster) -> psutil.Process:
    """The running postmaster."""
    return psutil.Process(int(cluster.postmaster_pid.read_text().split()[0]))


def supervisor_of(cluster: Cluster) -> psutil.Process:
    """The running supervisor."""
    parent = postmaster_of(cluster).parent()
    assert parent
    assert "idp.embedded.supervisor" in parent.cmdline()
    return parent


def processes_naming(home: Path) -> list[psutil.Process]:
    """The clients and supervisors of a home folder: all that have it as an argument."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(home) in (process.info["cmdline"] or ())]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or dead and not yet buried: that may take an init of a container for ever."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def await_end(process: psutil.Process) -> None:
    """Waits for a process that is not our child; fails if it goes on for ten seconds."""
    deadline = time.monotonic() + 10
    while not has_ended(process):
        assert time.monotonic() < deadline, process
        time.sleep(0.005)


def await_stop(cluster: Cluster) -> None:
    """Returns when neither supervisor nor server is left; fails if they stay."""
    for path in (cluster.clients_lock, cluster.supervisor_lock, cluster.server_lock):
        with hold(path, EXCLUSIVE, timeout=10):
            pass


async def value(dsn: str, query: str, *arguments: object) -> object:
    """The first value of the answer to a query."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()
