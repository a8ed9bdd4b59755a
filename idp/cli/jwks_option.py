"""`--jwks FILE`, for commands that take the public keys of somebody."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def jwks_option(help_text: str) -> Callable[[F], F]:
    """Adds the option; its value is the JWK Set in the file. Whether its keys will do is for the directory to say."""
    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option("--jwks", type=kind, callback=_read, metavar="FILE", help=help_text)


def _read(_: click.Context, __: click.Parameter, file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} is not a JWK Set that can be read: {error}.") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"{file} is not a JWK Set.")
    return document
