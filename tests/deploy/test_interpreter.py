"""Which interpreter `make install` takes."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

FIND = Path(__file__).parents[2] / "requirements" / "find-python"

_STAND_IN = """#!/bin/sh
case "$2" in
*ensurepip*) exit {unsuited} ;;
*) exit {slow} ;;
esac
"""


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3": (0, 0), "python3.12": (0, 0)}, "python3"),
        ({"python3": (0, 1), "python3.12": (0, 0)}, "python3.12"),
        ({"python3": (1, 0), "python3.13": (1, 0), "python3.11": (0, 0)}, "python3.11"),
    ],
    ids=["the first", "sooner one that is optimised", "one that is new enough"],
)
def test_it_takes(tmp_path: Path, there: Mapping[str, tuple[int, int]], taken: str) -> None:
    for name, (unsuited, slow) in there.items():
        (tmp_path / name).write_text(_STAND_IN.format(unsuited=unsuited, slow=slow))
        (tmp_path / name).chmod(0o755)
    found = subprocess.run(
        [FIND], env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{taken}\n"
