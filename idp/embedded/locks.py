"""Advisory locks by flock(2): the kernel drops them with their last holder, even after kill -9.

A lock belongs to the open file, not to the process: a child that inherits the descriptor holds it too. So a
lock is given up by closing, never by LOCK_UN, which would take it from such a child as well.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX

POLL_SECONDS = 0.02


@contextmanager
def hold(path: Path, kind: int, *, timeout: float) -> Iterator[int]:
    """Holds the lock at `path` and yields its descriptor, which is not inheritable.

    Waits for at most `timeout` seconds; `TimeoutError` if others held it all the while.
    """
    descriptor = open_lock(path)
    deadline = time.monotonic() + timeout
    try:
        while not try_lock(descriptor, kind):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path} is held by others")
            time.sleep(POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    """Takes, or converts, the lock of an open descriptor; False if others are in the way."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock at `path` exclusively."""
    descriptor = open_lock(path)
    try:
        return not try_lock(descriptor, SHARED)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor of the lock file at `path`, not inheritable; nothing is locked yet."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
