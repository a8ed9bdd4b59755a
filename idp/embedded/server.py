"""The server programs as processes: initdb, and the postmaster from start to stop.

All run as the cluster's account, with an environment that holds none of our secrets, tied to the life of the
process that started them, and with the descriptor of `server.lock`, which their own children inherit: the
lock is free only when the last process that could touch the data is gone.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from idp.embedded.account import Account
from idp.embedded.binaries import Programs
from idp.embedded.cluster import PORT, Cluster, fresh_folder
from idp.embedded.errors import EmbeddedPostgresError

# Fast shutdown: ends the sessions, writes a checkpoint, stops (PostgreSQL manual, 18.5).
FAST = signal.SIGINT
# Immediate shutdown: stops at once; the next start recovers from the write-ahead log.
IMMEDIATE = signal.SIGQUIT
_FAST_SECONDS = 30

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, since little is safe between fork and exec


def initialise(cluster: Cluster, programs: Programs, account: Account, lock: int) -> None:
    """Makes the data folder, all or nothing: a killed initdb leaves only what the next one throws away.

    Raises `EmbeddedPostgresError` if initdb fails.
    """
    unfinished = cluster.folder / "data.new"
    fresh_folder(unfinished, account)
    command: list[str | Path] = [programs.initdb, "--pgdata", unfinished, "--no-instructions"]
    command += ["--username=postgres", "--encoding=UTF8", "--locale=C", "--data-checksums"]
    # Alone, without our pg_hba.conf, the folder admits nobody.
    command += ["--auth=reject"]
    if programs.major >= 17:
        # The same order of strings on every machine, whatever locales it has.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if _spawn(command, account, lock).wait() != 0:
        raise EmbeddedPostgresError(failure("initdb could not make the database", cluster))
    unfinished.rename(cluster.data)
    _sync_folder(cluster.folder)


def start(cluster: Cluster, programs: Programs, account: Account, lock: int) -> subprocess.Popen[bytes]:
    """Starts the postmaster. The caller holds `server.lock` by `lock`, which proves that no other runs."""
    fresh_folder(cluster.socket_folder, account)
    # PostgreSQL would refuse to start if the pid in a stale one has been given to another process.
    cluster.postmaster_pid.unlink(missing_ok=True)
    settings = {
        "config_file": cluster.folder / "postgresql.conf",
        "hba_file": cluster.folder / "pg_hba.conf",
        "ident_file": cluster.folder / "pg_ident.conf",
        "listen_addresses": "",
        "unix_socket_directories": cluster.socket_folder,
        "port": PORT,
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _spawn([programs.postgres, "-D", cluster.data, *options], account, lock)


def is_ready(cluster: Cluster) -> bool:
    """Whether the postmaster says, in the eighth line of postmaster.pid, that it accepts connections."""
    try:
        return cluster.postmaster_pid.read_text().splitlines()[7].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False


def stop(postmaster: subprocess.Popen[bytes]) -> None:
    """Stops the postmaster, if it still runs, and waits for its end."""
    if postmaster.poll() is not None:
        return
    postmaster.send_signal(FAST)
    try:
        postmaster.wait(_FAST_SECONDS)
    except subprocess.TimeoutExpired:
        postmaster.send_signal(IMMEDIATE)
        postmaster.wait()


def interrupt_orphan(cluster: Cluster) -> None:
    """Asks the postmaster of a killed supervisor to stop.

    On Linux the kernel has done so already; elsewhere the orphan goes on until we find it. Its pid may
    meanwhile be another process's, so its command must name our data folder.
    """
    if shutil.which("ps") is None or not cluster.postmaster_pid.exists():
        return
    pid = cluster.postmaster_pid.read_text().partition("\n")[0]
    command = subprocess.run(["ps", "-ww", "-o", "args=", "-p", pid], capture_output=True, text=True, check=False)
    if f"-D {cluster.data} " in command.stdout:
        os.kill(int(pid), FAST)


def failure(what: str, cluster: Cluster) -> str:
    """A sentence with the last complaint in the log, and where to read the rest."""
    lines = cluster.log.read_text(errors="replace").splitlines()
    complaints = [line for line in lines if "FATAL:" in line or "error:" in line]
    because = f" ({complaints[-1].strip()})" if complaints else ""
    return f"{what}{because}: see {cluster.log}."


def _spawn(command: list[str | Path], account: Account, lock: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd="/",  # the account may be unable to open ours
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        start_new_session=True,  # Ctrl-C in the terminal is not for the server
        pass_fds=(lock,),
        preexec_fn=_tie_to_parent(os.getpid()),
        **account.credentials,
    )


def _environment() -> dict[str, str]:
    """No PG* variable may change what we say; no secret may reach another account's /proc/PID/environ."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _tie_to_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before exec, so that the kernel stops it when `parent` dies. Only Linux can."""
    if sys.platform != "linux":
        return None

    def tie() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, FAST)
        if os.getppid() != parent:  # it died before the call, so no signal will come
            os._exit(1)

    return tie


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
