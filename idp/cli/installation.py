"""Which installation a command works on, and the secrets of the one that `idp dev` keeps in a folder.

An explicit `--data-dir` wins, then `IDP_DATABASE_URL`, then an existing `.idp`. None is ever created but by
`idp dev`.
"""

import base64
import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from idp import settings
from idp.embedded import attach
from idp.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

DATA_DIR = Path(".idp")
_KEY_FILE = "key-encryption-key"
_PEPPER_FILE = "password-pepper"
_CLUSTER = "postgres"
_PORT_FILE = "port"

DEV_CLIENT_ID = "dev"
"""The default client of `idp dev`."""


def data_dir_option(command: F) -> F:
    """Adds `--data-dir`."""
    option = click.option(
        "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="A folder made by `idp dev`."
    )
    return option(command)


def names_database(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a database of its own. An empty variable is as good as none."""
    return any(environment.get(name) for name in ("IDP_DATABASE_URL", "IDP_DATABASE_URL_FILE"))


@contextlib.contextmanager
def opened(data_dir: Path | None) -> Iterator[Settings]:
    """The settings of the installation to work on, its database reachable while the block runs.

    Raises click.ClickException when there is none, SettingsError, or EmbeddedPostgresError.
    """
    if data_dir is None and names_database(os.environ):
        configured, _ = settings.from_environment({"IDP_ISSUER": "http://localhost", **os.environ})
        yield configured
        return
    folder = data_dir or DATA_DIR
    if not (folder / _CLUSTER).exists():
        raise click.ClickException(
            f"There is no installation at {folder}. Start one with `idp dev`, name another with --data-dir, "
            "or set IDP_DATABASE_URL."
        )
    with dev_settings(folder, port=_port(folder)) as configured:
        yield configured


@contextlib.contextmanager
def dev_settings(folder: Path, *, port: int) -> Iterator[Settings]:
    """The settings of the installation in `folder`, its own PostgreSQL running while the block runs.

    The environment may set whatever is not the folder's own: its database and its secrets.
    """
    own = _read_secrets(folder)
    with attach(folder / _CLUSTER) as dsn:
        defaults = {
            "IDP_DEFAULT_CLIENT_ID": DEV_CLIENT_ID,
            "IDP_LOG_FORMAT": "console",
            "IDP_LOG_LEVEL": "WARNING",
        }
        fixed = {"IDP_DATABASE_URL": dsn, "IDP_ISSUER": f"http://localhost:{port}", **own}
        chosen = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in fixed}
        configured, _ = settings.from_environment({**defaults, **chosen, **fixed})
        yield configured


def remember_port(folder: Path, port: int) -> None:
    """Writes down where `idp dev` serves, for commands that ask the service itself."""
    (folder / _PORT_FILE).write_text(f"{port}\n")


def _port(folder: Path) -> int:
    try:
        return int((folder / _PORT_FILE).read_text())
    except (OSError, ValueError):
        return 8000


def _read_secrets(folder: Path) -> Mapping[str, str]:
    values = {}
    for name, file in (("IDP_KEY_ENCRYPTION_KEY", _KEY_FILE), ("IDP_PASSWORD_PEPPER", _PEPPER_FILE)):
        try:
            values[name] = (folder / file).read_text().strip()
        except FileNotFoundError:
            raise click.ClickException(
                f"{folder / file} is missing. Without it the keys and passwords in the database are lost: bring it "
                f"back from a backup, or remove {folder} to begin anew."
            ) from None
    return values


def create(folder: Path) -> None:
    """Makes the folder and its secrets, if there is no database in it yet: afterwards a lost secret is an error."""
    if (folder / _CLUSTER).exists():
        return
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    _write_secret(folder / _KEY_FILE, base64.b64encode(secrets.token_bytes(32)).decode())
    _write_secret(folder / _PEPPER_FILE, secrets.token_urlsafe(48))


def _write_secret(path: Path, value: str) -> None:
    """Writes the whole secret or nothing, readable by its owner alone; an existing one is kept."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value + "\n")
        file.flush()
        os.fsync(descriptor)
    temporary.rename(path)
