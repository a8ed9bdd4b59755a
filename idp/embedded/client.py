"""Uses the server of a home folder, and sees to it that there is one."""

import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from idp.embedded.account import server_account
from idp.embedded.binaries import OVERRIDE
from idp.embedded.cluster import Cluster, locate
from idp.embedded.errors import EmbeddedPostgresError
from idp.embedded.locks import EXCLUSIVE, POLL_SECONDS, SHARED, hold, is_held, try_lock

# The supervisor notices within a tenth of a second that nobody is left.
_NOTICE_SECONDS = 0.5
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_REPLACE_SECONDS = 10.0

# PostgreSQL manual, 54.7: StartupMessage of protocol 3.0, the first byte of AuthenticationOk, Terminate.
_PARAMETERS = b"user\0postgres\0database\0postgres\0\0"
_STARTUP = struct.pack("!ii", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS
_AUTHENTICATION = b"R"
_TERMINATE = struct.pack("!ci", b"X", 4)
_ANSWER_SECONDS = 1.0

_SOURCES = Path(__file__).resolve().parents[2]


@contextmanager
def attach(home: Path, *, timeout: float = 60.0) -> Iterator[str]:
    """Yields the DSN of the PostgreSQL that lives in the folder `home`, starting it if need be.

    All processes of the user that attach to one folder share one server. It is stopped when the last of them
    leaves, be it by kill -9; who leaves last in good order waits until it has stopped. Everything blocks: in
    async code enter and leave through `asyncio.to_thread`.

    Raises `EmbeddedPostgresError` if the server is not ready within `timeout` seconds or cannot serve at all.
    """
    deadline = time.monotonic() + timeout
    cluster = locate(home, server_account())
    with ExitStack() as membership:
        try:
            # Waits while a supervisor is stopping the server. From then on none begins to.
            clients = membership.enter_context(hold(cluster.clients_lock, SHARED, timeout=timeout))
            if not _serves(cluster):
                _start(cluster, home, deadline)
        except TimeoutError:
            raise EmbeddedPostgresError(
                f"PostgreSQL was not ready within {timeout:g} s: look into {cluster.log}, then try again."
            ) from None
        try:
            with _supervised(cluster, home):
                yield cluster.dsn
        finally:
            alone = try_lock(clients, EXCLUSIVE)
            membership.close()
            if alone:
                _await_stop(cluster)


@contextmanager
def _supervised(cluster: Cluster, home: Path) -> Iterator[None]:
    """While the block runs, a supervisor that was killed is replaced: whoever serves from here goes on by itself."""
    leaving = threading.Event()

    def look_after() -> None:
        while not leaving.wait(_LOOK_SECONDS):
            if not is_held(cluster.supervisor_lock):
                with suppress(EmbeddedPostgresError, TimeoutError):  # the next look may have more luck
                    _start(cluster, home, time.monotonic() + _REPLACE_SECONDS)

    looking = threading.Thread(target=look_after, name="embedded-postgres", daemon=True)
    looking.start()
    try:
        yield
    finally:
        leaving.set()
        looking.join()


def _serves(cluster: Cluster) -> bool:
    """Whether the server is ready and has a supervisor, without whom it is about to stop."""
    return _is_genuine(cluster) and _admits(cluster.socket) and is_held(cluster.supervisor_lock)


def _is_genuine(cluster: Cluster) -> bool:
    """Whether the socket's folder is the server's: below /tmp, somebody else could have made it first."""
    try:
        return cluster.socket_folder.lstat().st_uid == cluster.data.stat().st_uid
    except FileNotFoundError:
        return False


def _admits(path: Path) -> bool:
    """Whether a session can begin now. To connect proves little: a recovering server listens, too."""
    with socket.socket(socket.AF_UNIX) as session:
        session.settimeout(_ANSWER_SECONDS)
        try:
            session.connect(str(path))
            session.sendall(_STARTUP)
            answer = session.recv(4096)
            session.sendall(_TERMINATE)
        except OSError:
            return False
    return answer.startswith(_AUTHENTICATION)


def _start(cluster: Cluster, home: Path, deadline: float) -> None:
    """Starts supervisors until one serves: ours, or that of another client who was faster.

    Raises `EmbeddedPostgresError` with the words of ours if it fails, `TimeoutError` at the deadline.
    """
    while True:
        with _supervisor(cluster, home) as output:
            _await_outcome(output, deadline)
        while True:
            if _serves(cluster):
                return
            if time.monotonic() >= deadline:
                raise TimeoutError
            if not is_held(cluster.supervisor_lock):
                break  # the one for which ours gave way is gone
            time.sleep(POLL_SECONDS)


@contextmanager
def _supervisor(cluster: Cluster, home: Path) -> Iterator[int]:
    """Starts a supervisor in the background and yields the reading end of its standard output."""
    output, its_output = os.pipe()
    try:
        with open(cluster.log, "ab", opener=_private) as log:
            subprocess.run(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "idp.embedded.supervisor",
                    home.expanduser().resolve(),
                    "--detach",
                ],
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=its_output,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches every process of the terminal's foreground group
                check=False,
            )
        os.close(its_output)
        yield output
    finally:
        os.close(output)


def _private(path: str, flags: int) -> int:
    # The server logs statements that fail, and what is in them is nobody else's business.
    return os.open(path, flags, 0o600)


def _environment() -> dict[str, str]:
    """What the supervisor needs, and none of our secrets, since it may outlive us."""
    kept = ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", OVERRIDE)
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    paths = [str(_SOURCES), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(paths)}


def _await_outcome(output: int, deadline: float) -> None:
    """Returns when the supervisor's server is ready or it has given way; raises what it says otherwise."""
    said = b""
    while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(output, 4096)
        if not chunk:
            break
        said += chunk
    else:
        raise TimeoutError
    if said:
        raise EmbeddedPostgresError(said.decode(errors="replace").strip())


def _await_stop(cluster: Cluster) -> None:
    """Waits for the server's end, unless somebody came just after we left."""
    left = time.monotonic()
    while is_held(cluster.supervisor_lock):
        waited = time.monotonic() - left
        if waited > _STOP_SECONDS or (waited > _NOTICE_SECONDS and _serves(cluster)):
            return
        time.sleep(POLL_SECONDS)
