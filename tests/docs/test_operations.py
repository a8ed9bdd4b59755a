"""The operator's page names everything that an operator can set, and everything that is written for one to read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
LEVELS = {"info", "warning", "error", "exception"}


def sources() -> Iterator[ast.Module]:
    for package in ("idp", "keys"):
        for path in (ROOT / package).rglob("*.py"):
            yield ast.parse(path.read_text())


def log_events() -> set[str]:
    """The first argument of every call of a logger."""
    return {
        call.args[0].value
        for tree in sources()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "log"
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def audit_events() -> set[str]:
    """Every text of the form of an event's name, beginning with what some event is about."""
    texts = {
        node.value
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    about = {name.partition(".")[0] for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE)}
    return {text for text in texts if re.fullmatch(r"[a-z_]+\.[a-z_]+", text) and text.partition(".")[0] in about}


def settings() -> set[str]:
    return set(re.findall(r'"(IDP_[A-Z_]+)"', (ROOT / "idp" / "settings.py").read_text()))


@pytest.mark.parametrize("name", sorted(settings()))
def test_settings(name: str) -> None:
    assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("event", sorted(log_events()))
def test_log_events(event: str) -> None:
    shortened = re.split(r"[:;]| has stepped", event)[0]  # where the event is a sentence, its beginning will do
    assert f"| `{shortened}" in PAGE


@pytest.mark.parametrize("event", sorted(audit_events()))
def test_audit_events(event: str) -> None:
    assert f"`{event}`" in PAGE
