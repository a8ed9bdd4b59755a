"""The folder of a cluster: where everything lies, and how it comes to be.

HOME/cluster            a folder, or for root a link to one (see `locate`)
    clients.lock        shared by everyone who uses the server
    supervisor.lock     held by the one supervisor
    server.lock         held by the postmaster and by every process that it started
    server.log          what supervisor and server said since the last start
    postgresql.conf, pg_hba.conf, pg_ident.conf
    data/               PostgreSQL's own; nobody else ever writes in it
    socket/             the Unix socket, unless its path is too long for the kernel
"""

import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from idp.embedded.account import Account
from idp.embedded.binaries import major_of
from idp.embedded.errors import EmbeddedPostgresError

# Where root's clusters lie when the server's account cannot reach the home folder, such as one below /root.
SHELF = Path("/var/lib/idp-dev")

PORT = 5432  # nothing listens on it: it only names the socket
_SUN_PATH_BYTES = 103 if sys.platform == "darwin" else 107  # sockaddr_un.sun_path, less the closing NUL

_POSTGRESQL_CONF = """\
# Written at each start. First what initdb found out about this machine.
include 'data/postgresql.conf'

listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 64MB
fsync = on
synchronous_commit = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
"""

# The kernel says who is at the other end of a Unix socket: no password, and nothing to steal.
_PG_HBA = "local all postgres peer map=starter\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The paths of one cluster."""

    folder: Path

    @property
    def clients_lock(self) -> Path:
        """Held shared by every user of the server."""
        return self.folder / "clients.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held exclusively by the supervisor."""
        return self.folder / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's processes: when it is free, none of them is left."""
        return self.folder / "server.lock"

    @property
    def log(self) -> Path:
        """Emptied by each supervisor when it starts."""
        return self.folder / "server.log"

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "data"

    @property
    def postmaster_pid(self) -> Path:
        """PostgreSQL's own lock file, which also tells its status."""
        return self.data / "postmaster.pid"

    @property
    def socket_folder(self) -> Path:
        """Beside the data if the kernel and a DSN can express the path, else below /tmp."""
        beside = self.folder / "socket"
        # A comma separates hosts in a DSN and folders in unix_socket_directories.
        if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= _SUN_PATH_BYTES and "," not in str(beside):
            return beside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(f"/tmp/idp-{digest}")  # noqa: S108  made anew at each start, and refused if it is somebody else's

    @property
    def socket(self) -> Path:
        """What clients connect to."""
        return self.socket_folder / f".s.PGSQL.{PORT}"

    @property
    def dsn(self) -> str:
        """Connects as the superuser to the maintenance database."""
        # With its port, or PGPORT in a client's environment would lead it astray.
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_folder))}&port={PORT}"

    @property
    def major(self) -> int | None:
        """The major version of PostgreSQL that made the data; None while there are none."""
        try:
            return major_of((self.data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def configure(self, account: Account) -> None:
        """Writes the configuration, outside the data folder, so that the server's account cannot forge it."""
        for name, content in (
            ("postgresql.conf", _POSTGRESQL_CONF),
            ("pg_hba.conf", _PG_HBA),
            ("pg_ident.conf", f'starter "{account.starter}" postgres\n'),
        ):
            path = self.folder / name
            path.write_text(content)
            path.chmod(0o644)


def locate(home: Path, account: Account, *, shelf: Path = SHELF) -> Cluster:
    """The cluster of a home folder; its place is decided at the first call and kept in the home folder.

    Root's server runs as another account. Where that one cannot reach the home folder, `HOME/cluster` is a
    link to a new folder below `shelf`; no parent folder's permissions are ever changed. Who removes the home
    folder removes the link, so what comes next is a fresh database.

    Raises `EmbeddedPostgresError` if the folder is somebody else's or unusable, or its link leads nowhere.
    """
    home = home.expanduser().resolve()
    folder = home / "cluster"
    try:
        home.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(home)
        if not os.path.lexists(folder):
            _settle(folder, account, shelf)
        _refuse_dangling(folder)
    except OSError as error:
        raise EmbeddedPostgresError(f"{home} cannot be used ({error.strerror}): choose another data folder.") from error
    return Cluster(folder.resolve())


def _refuse_foreign(home: Path) -> None:
    owner = home.stat().st_uid
    if owner != os.geteuid():
        # Above all root: who writes into a folder of another user can be led astray by links.
        raise EmbeddedPostgresError(
            f"{home} belongs to uid {owner}: start as that user, or choose another data folder."
        )


def _refuse_dangling(folder: Path) -> None:
    if not folder.exists():
        raise EmbeddedPostgresError(
            f"The database of {folder.parent} was in {folder.readlink()}, which is gone: "
            f"restore that folder, or remove {folder.parent} to start afresh."
        )


def _settle(folder: Path, account: Account, shelf: Path) -> None:
    """Makes the folder, or the link; of several processes at once, one wins."""
    with suppress(FileExistsError):
        if account.can_reach(folder.parent):
            folder.mkdir(mode=0o700)
        else:
            _settle_elsewhere(folder, shelf)


def _settle_elsewhere(folder: Path, shelf: Path) -> None:
    shelf.mkdir(mode=0o711, parents=True, exist_ok=True)
    elsewhere = Path(tempfile.mkdtemp(dir=shelf, prefix=""))
    (elsewhere / "home").write_text(f"{folder.parent}\n")
    try:
        folder.symlink_to(elsewhere)
    except FileExistsError:
        shutil.rmtree(elsewhere)
        raise


def fresh_folder(path: Path, account: Account) -> None:
    """Replaces whatever is at `path` by an empty folder that only the account can open."""
    shutil.rmtree(path, ignore_errors=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise EmbeddedPostgresError(f"{path} is in the way and belongs to somebody else: remove it.") from None
    account.give(path)
