"""Files of people: JSON lines, or CSV with a header (RFC 4180). Each line is read on its own, in bounded memory."""

import csv
import itertools
from collections.abc import Iterator
from typing import IO, Any

import orjson

from idp.directory.imports import Line, Problem, check_names

FORMATS = ("jsonl", "csv")

_LONGEST = 65_536
"""Bytes of a line; the members of a person take a few hundred."""
_TOO_LONG = f"The line is longer than {_LONGEST} bytes."
_TRUE = frozenset({"true", "t", "yes", "1"})
_FALSE = frozenset({"false", "f", "no", "0"})


def format_of(name: str) -> str | None:
    """The format that a file's name ends with, None when it tells nothing."""
    extension = name.rpartition(".")[2].lower()
    return {"jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv"}.get(extension)


def read_lines(file: IO[bytes], form: str) -> Iterator[Line | Problem]:
    """The people in the file, from its first line on. What cannot be read is a Problem in its place."""
    file.seek(0)
    return _json_lines(file) if form == "jsonl" else _csv_lines(file)


def _json_lines(file: IO[bytes]) -> Iterator[Line | Problem]:
    for number, line in _numbered(file):
        if line.strip():
            yield _json_line(number, line)


def _json_line(number: int, line: bytes) -> Line | Problem:
    if len(line) > _LONGEST:
        return Problem(number, _TOO_LONG)
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Problem(number, "The line is not JSON in UTF-8.")
    return Line(number, members) if isinstance(members, dict) else Problem(number, "The line is not a JSON object.")


def _numbered(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines, one that is too long cut short."""
    for number in itertools.count(1):
        line = file.readline(_LONGEST + 1)
        if not line:
            return
        rest = line
        while len(rest) > _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST + 1)
        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _csv_lines(file: IO[bytes]) -> Iterator[Line | Problem]:
    """Ends at what is no CSV: after a quote that is never closed there is no telling where the next line begins."""
    reader = csv.reader(_csv_text(file), strict=True)
    start = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        start = reader.line_num + 1
        for row in reader:
            if row:
                yield _csv_line(start, header, row)
            start = reader.line_num + 1
    except csv.Error as error:
        yield Problem(start, f"From here on the file cannot be read: {error}")


def _csv_text(file: IO[bytes]) -> Iterator[str]:
    for _, line in _numbered(file):
        if len(line) > _LONGEST:
            raise csv.Error(_TOO_LONG)
        yield line.decode("utf-8", "surrogateescape")


def _check_header(header: list[str]) -> None:
    """Raises csv.Error."""
    if len(set(header)) < len(header):
        raise csv.Error("The header names a column twice.")
    try:
        check_names(header)
    except ValueError as error:
        raise csv.Error(f"The first line must be a header. {error}") from None


def _csv_line(number: int, header: list[str], row: list[str]) -> Line | Problem:
    if len(row) != len(header):
        return Problem(number, f"The line has {len(row)} columns, the header {len(header)}.")
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return Problem(number, "The line is not UTF-8 text.")
    members: dict[str, Any] = dict(zip(header, map(str.strip, row), strict=True))
    if "roles" in members:
        members["roles"] = members["roles"].replace(";", " ").split()
    if "is_active" in members:
        members["is_active"] = _flag(members["is_active"])
    return Line(number, members)


def _flag(text: str) -> bool | str:
    """The boolean; a text that is none stays one, for the line to be refused."""
    word = text.lower()
    return word in _TRUE if word in _TRUE | _FALSE else text
