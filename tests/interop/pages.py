"""The pages under docs/verify: what they tell people to write is what the tests run."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "verify"
_BLOCK = re.compile(r"^`([^`\n]+)`[^\n]*:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A line that begins with the name of a file and ends in a colon, and below it what is in the file."""


def files_of(page: str) -> dict[str, str]:
    """The files that a page tells people to write, by their names."""
    return dict(_BLOCK.findall((PAGES / page).read_text()))


def fitted(text: str, changes: Mapping[str, str]) -> str:
    """The text with each key of `changes` replaced, which must be in it: a page that moves on takes its test along."""
    for old, new in changes.items():
        assert old in text, f"the page no longer says {old}"
        text = text.replace(old, new)
    return text
