"""`idp users import FILE`: people from another system, all of them or none."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.output import json_option, show
from idp.cli.progress import progress_bar
from idp.cli.session import on_directories
from idp.cli.tables import safe
from idp.cli.user_files import FORMATS, format_of, read_lines
from idp.directory.imports import ImportRefused, import_people
from idp.protocol.audit import OPERATOR

_SPOOL = 16 * 1024 * 1024
"""Bytes of standard input that stay in memory; more goes to a temporary file, readable by us alone."""


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--format", "form", type=click.Choice(FORMATS), help="When the file's name does not end with it.")
@data_dir_option
@json_option
def import_(file: IO[bytes], form: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Registers the people in FILE (- for standard input), with their bcrypt hashes: all of them or none.

    JSON lines (.jsonl) or CSV with a header (.csv). The members, or columns, are email, username, password_hash,
    roles (an array; in CSV separated by spaces or semicolons) and is_active. Only email must be there.
    """
    form = form or format_of(str(getattr(file, "name", "")))
    if form is None:
        raise click.UsageError(f"The name of the file does not say what it holds: add --format {'|'.join(FORMATS)}.")
    with _seekable(file) as source, progress_bar("Importing", _size(source), source.tell) as progress:

        async def work(directory: Directories) -> int:
            return await import_people(directory.store, lambda: read_lines(source, form), OPERATOR, progress=progress)

        try:
            count = on_directories(data_dir, work)
        except ImportRefused as refused:
            _report(refused, as_json=as_json)
            raise click.ClickException(str(refused)) from None
    show({"imported": count, "problems": []}, as_json=as_json, text=f"Imported {count} people.")


@contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file, or a copy of what comes through a pipe: an import may have to begin again."""
    if file.seekable():
        yield file
        return
    with tempfile.SpooledTemporaryFile(_SPOOL) as copy:
        shutil.copyfileobj(file, copy)
        yield copy


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


def _report(refused: ImportRefused, *, as_json: bool) -> None:
    problems = [{"line": problem.number, "reason": problem.reason} for problem in refused.problems]
    if as_json:
        show({"imported": 0, "problems": problems}, as_json=True, text="")
        return
    for problem in refused.problems:
        click.echo(f"line {problem.number}: {safe(problem.reason)}", err=True)
