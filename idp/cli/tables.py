"""Records as people read them: in aligned columns, or name by name; what is in the data cannot act on the terminal."""

import io
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ENDLESS = 100_000
"""Characters in a line when nobody looks at it: a file or a pipe gets every record on one line."""
_GAP = "  "


def safe(text: str) -> str:
    """The text with control characters, invisible ones and halves of surrogate pairs written as escapes.

    A name must be able neither to move the cursor nor to reverse the reading direction of what follows it.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def cell(value: object) -> str:
    """A value of a record in one cell; nothing at all for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, Mapping):
        return safe(json.dumps(value)) if value else ""
    return safe(" ".join(map(str, value))) if isinstance(value, Iterable) else safe(str(value))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, none: str) -> str:
    """The rows in columns, or the sentence `none` when there are none."""
    cells = [[cell(value) for value in row] for row in rows]
    if not cells:
        return none
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > _width():
        return _folded(columns, cells)
    head, *lines = (_GAP.join(map(set_cell_size, row, widths)).rstrip() for row in (columns, *cells))
    return "\n".join([click.style(head, bold=True) if sys.stdout.isatty() else head, *lines])


def _folded(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """The table made narrower. Nothing is cut off, for half an id is of no use."""
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, len(_GAP), 0, 0))
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in cells:
        drawn.add_row(*map(Text, row))
    return rendered(drawn)


def fields(record: Mapping[str, object]) -> str:
    """One record, a line for each of its members that has a value."""
    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in record.items():
        if shown := cell(value):
            drawn.add_row(name, Text(shown))
    return rendered(drawn)


def rendered(drawn: Table) -> str:
    """The table as text: styled on a terminal and as wide as that, plain and unfolded elsewhere."""
    console = Console(
        file=io.StringIO(), width=_width(), force_terminal=sys.stdout.isatty(), highlight=False, emoji=False
    )
    with console.capture() as captured:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _ENDLESS
