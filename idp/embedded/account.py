"""Who runs the server: ourselves, or for root an unprivileged account, since PostgreSQL refuses uid 0."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from idp.embedded.errors import EmbeddedPostgresError

# `nobody` exists everywhere; `postgres` is better, since no other service runs as it.
UNPRIVILEGED = ("postgres", "nobody")


class Credentials(TypedDict):
    """What `subprocess.Popen` needs to run a program as an account; None leaves the credentials alone."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's account under which the server programs run.

    `starter` is the name of the user who started them: the only one whom the server will let in.
    """

    uid: int
    gid: int
    name: str
    starter: str

    @property
    def is_starter(self) -> bool:
        """Whether the server runs as the very user who started it."""
        return self.uid == os.geteuid()

    @property
    def credentials(self) -> Credentials:
        """For `subprocess.Popen(**credentials)`; supplementary groups are dropped with the rest of root."""
        if self.is_starter:
            return {"user": None, "group": None, "extra_groups": None}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Whether the account may search the folder, or execute the file, at `path`.

        The kernel is asked, as the account: permission bits alone would miss ACLs and security modules.
        """
        if self.is_starter:
            return os.access(path, os.X_OK)
        return subprocess.run(["test", "-x", path], check=False, cwd="/", **self.credentials).returncode == 0

    def give(self, folder: Path) -> None:
        """Makes the account the owner of a folder that is still ours."""
        if not self.is_starter:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)


def server_account() -> Account:
    """The account for the server programs, chosen by who we are.

    Raises `EmbeddedPostgresError` when our uid has no name, or when root finds no unprivileged account.
    """
    starter = _entry_of_starter()
    entry = starter if starter.pw_uid != 0 else _unprivileged_entry()
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, starter.pw_name)


def _entry_of_starter() -> pwd.struct_passwd:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        # Both initdb and peer authentication look the name up.
        raise EmbeddedPostgresError(
            f"The uid {uid} has no name: add it to /etc/passwd, or set IDP_DATABASE_URL to a PostgreSQL."
        ) from None


def _unprivileged_entry() -> pwd.struct_passwd:
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root: add an account {' or '.join(UNPRIVILEGED)}, or start as another user."
    )
