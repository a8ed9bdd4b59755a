"""Runs of the command, and what came of them."""

import contextlib
import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from idp.cli import main

PROGRAM = Path(sys.executable).with_name("idp")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended."""

    code: int
    out: str
    err: str = ""

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it is."""
        return orjson.loads(self.out)


@dataclass(frozen=True, slots=True)
class Idp:
    """The command in this process, without a terminal."""

    monkeypatch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, given: str | bytes = b"") -> Run:
        data = given.encode() if isinstance(given, str) else given
        self.captured.readouterr()
        with self.monkeypatch.context() as patch, io.TextIOWrapper(io.BytesIO(data)) as standard_input:
            patch.setattr(sys, "stdin", standard_input)
            with pytest.raises(SystemExit) as ended:
                main([*map(str, arguments)])
        printed = self.captured.readouterr()
        code = ended.value.code
        return Run(code if isinstance(code, int) else 0, printed.out, printed.err)

    def ok(self, *arguments: str | Path, given: str | bytes = b"") -> Run:
        """A run that must succeed."""
        run = self(*arguments, given=given)
        assert run.code == 0, run.err
        return run

    def json(self, *arguments: str | Path, given: str | bytes = b"") -> Any:
        """What a run that must succeed says in JSON."""
        return self.ok(*arguments, "--json", given=given).document


def process(*arguments: str | Path, given: bytes = b"") -> Run:
    """The command as a process of its own."""
    ended = subprocess.run([PROGRAM, *arguments], input=given, capture_output=True, timeout=_PATIENCE, check=False)
    return Run(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def on_terminal(*arguments: str | Path, typed: Sequence[tuple[str, str]] = (), columns: int = 100) -> Run:
    """The command on a terminal of its own: each text of `typed` goes in once its prompt has come out."""
    process_id, terminal = pty.fork()
    if process_id == 0:  # the child: nothing but the command runs here
        os.environ |= {"COLUMNS": str(columns), "TERM": "xterm"}
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the suite runs in the background
        os.execv(PROGRAM, [str(PROGRAM), *map(str, arguments)])  # noqa: S606 - the command itself, no shell
    shown = b""
    for prompt, text in typed:
        shown = _shown_until(terminal, prompt, shown)
        os.write(terminal, text.encode())
    shown = _shown_until(terminal, None, shown)
    os.close(terminal)
    _, status = os.waitpid(process_id, 0)
    return Run(os.waitstatus_to_exitcode(status), shown.decode())


def _shown_until(terminal: int, prompt: str | None, shown: bytes) -> bytes:
    """Reads on until the prompt comes anew, or to the end."""
    deadline = time.monotonic() + _PATIENCE
    start = len(shown)
    while prompt is None or prompt.encode() not in shown[start:]:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], shown
        with contextlib.suppress(OSError):  # Linux: the other side is gone
            if chunk := os.read(terminal, 4096):
                shown += chunk
                continue
        assert prompt is None, shown
        break
    return shown
