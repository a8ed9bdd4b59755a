"""Only the user who started the server gets in, and nothing of theirs gets out."""

import os
import shutil
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from idp.embedded import EmbeddedPostgresError, attach
from idp.embedded.account import server_account
from idp.embedded.cluster import Cluster
from idp.embedded.locks import EXCLUSIVE, hold
from tests.embedded.clusters import cluster_of, postmaster_of, supervisor_of, value

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
UNUSED_UID = 54321


def greeting(path: Path) -> bytes:
    """The server's answer to "I am postgres" (PostgreSQL manual, 54.7, StartupMessage)."""
    parameters = b"user\0postgres\0database\0postgres\0\0"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters)
        return connection.recv(4096)


def greeting_to(uid: int, path: Path) -> bytes:
    """The same to somebody else; nothing if the socket is not for them. In a process of its own: all threads of one
    are the same user, and one of ours looks after the cluster."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            os.seteuid(uid)
            os.write(writing, greeting(path))
        finally:
            os._exit(0)  # without a word of what went wrong, if it did: then there is no greeting
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        return answer.read()


def open_to_all(cluster: Cluster) -> None:
    """Takes the file permissions out of the way, so that the authentication itself is seen at work."""
    cluster.socket_folder.chmod(0o755)
    cluster.socket.chmod(0o777)


@ROOT_ONLY
def test_peer_authentication_refuses_everybody_else(kept_home: Path) -> None:
    with attach(kept_home):
        cluster = cluster_of(kept_home)
        open_to_all(cluster)
        assert greeting(cluster.socket).startswith(b"R")
        # A stranger, nobody, and even the account of the server itself.
        for uid in (UNUSED_UID, 65534, server_account().uid):
            assert greeting_to(uid, cluster.socket).startswith(b"E")


@ROOT_ONLY
def test_file_permissions_keep_others_from_the_socket(kept_home: Path) -> None:
    with attach(kept_home):
        cluster = cluster_of(kept_home)
        assert greeting_to(0, cluster.socket).startswith(b"R")
        assert greeting_to(UNUSED_UID, cluster.socket) == b""


@ROOT_ONLY
def test_a_server_that_somebody_else_put_in_our_place_is_not_taken_for_ours(folder: Path) -> None:
    home = folder / ("long" * 30)
    cluster = cluster_of(home)
    cluster.data.mkdir()
    assert cluster.socket_folder.is_relative_to("/tmp")
    cluster.socket_folder.mkdir()
    with socket.socket(socket.AF_UNIX) as impostor, hold(cluster.supervisor_lock, EXCLUSIVE, timeout=0):
        impostor.bind(str(cluster.socket))
        impostor.listen()
        os.chown(cluster.socket_folder, UNUSED_UID, UNUSED_UID)
        Thread(target=answer_all, args=(impostor,), daemon=True).start()
        with pytest.raises(EmbeddedPostgresError, match="not ready"), attach(home, timeout=0.5):
            pass
        impostor.shutdown(socket.SHUT_RDWR)
    shutil.rmtree(cluster.socket_folder)


def answer_all(impostor: socket.socket) -> None:
    """Lets everybody in, as the real server would let us."""
    with suppress(OSError):
        while True:
            connection, _ = impostor.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"R\0\0\0\x08\0\0\0\0")


def test_there_is_no_password_and_no_trust(kept_home: Path) -> None:
    with attach(kept_home):
        rules = (cluster_of(kept_home).folder / "pg_hba.conf").read_text()
    assert rules.split() == ["local", "all", "postgres", "peer", "map=starter"]


def test_nothing_but_the_starter_may_read(kept_home: Path) -> None:
    with attach(kept_home):
        cluster = cluster_of(kept_home)
        private = [
            cluster.data,
            cluster.socket_folder,
            cluster.log,
            cluster.clients_lock,
            cluster.supervisor_lock,
            cluster.server_lock,
        ]
        for path in private:
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_folders_above_keep_their_permissions(folder: Path) -> None:
    middle = folder / "middle"
    middle.mkdir()
    middle.chmod(0o751)
    with attach(middle / "home"):
        pass
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, middle)] == [0o711, 0o751]


async def test_nothing_listens_but_the_socket(kept_home: Path) -> None:
    with attach(kept_home) as dsn:
        assert await value(dsn, "SHOW listen_addresses") == ""
        assert postmaster_of(cluster_of(kept_home)).net_connections(kind="inet") == []


def test_no_secret_is_handed_down(kept_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """L1: what runs as another account, or outlives us, must not carry our environment."""
    monkeypatch.setenv("IDP_PASSWORD_PEPPER", "the pepper")
    with attach(kept_home):
        cluster = cluster_of(kept_home)
        for process in (supervisor_of(cluster), postmaster_of(cluster)):
            assert "IDP_PASSWORD_PEPPER" not in process.environ()


async def test_it_is_small_but_durable(kept_home: Path) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "jit": "off",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }
    with attach(kept_home) as dsn:
        assert {name: await value(dsn, f"SHOW {name}") for name in expected} == expected


@ROOT_ONLY
def test_a_folder_of_somebody_else_is_refused(folder: Path) -> None:
    os.chown(folder, UNUSED_UID, UNUSED_UID)
    with pytest.raises(EmbeddedPostgresError, match="belongs to uid 54321"), attach(folder):
        pass


def test_root_does_not_run_the_server(kept_home: Path) -> None:
    with attach(kept_home):
        assert postmaster_of(cluster_of(kept_home)).uids().effective != 0
