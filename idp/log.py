"""Logging: one event a line, as JSON for machines or plain for a terminal. Nothing here is ever a secret (L1).

What a requester chose (a path, a name) can hold anything: JSON escapes it, and so does the plain form, so that no
line can be forged and no terminal commanded.
"""

import asyncio
import io
import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

import orjson

from idp.log_stream import LogStream
from idp.protocol.authorization import Origin

Details = Mapping[str, object]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class Line(Protocol):
    """Writes an event as a line. `created` is in POSIX seconds; `details` belong to the event."""

    def __call__(
        self, created: float, level: str, logger: str, event: str, details: Details, exception: str = ""
    ) -> str: ...


def json_line(created: float, level: str, logger: str, event: str, details: Details, exception: str = "") -> str:
    """A JSON object: time (RFC 3339), level, logger, event, and what belongs to the event."""
    line = {
        "time": f"{_second(int(created))}.{int(created % 1 * 1000):03}+00:00",
        "level": level,
        "logger": logger,
        "event": event,
        **details,
    }
    return _dumped({**line, "exception": exception} if exception else line)


@lru_cache(maxsize=1)
def _second(created: int) -> str:
    """Thousands of lines have it in common."""
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def console_line(created: float, level: str, logger: str, event: str, details: Details, exception: str = "") -> str:  # noqa: ARG001
    """`12:34:56 info  request  method=GET status=200`; what could command a terminal is escaped."""
    clock = datetime.fromtimestamp(created).astimezone().strftime("%H:%M:%S")
    told = " ".join(f"{name}={_visible(str(value))}" for name, value in details.items())
    line = f"{clock} {level:7} {_visible(event)}  {told}".rstrip()
    # Indented, because the text of an error can hold what a requester chose, and must not pass for a line.
    return "\n".join([line, *(f"    {_visible(part)}" for part in exception.split("\n") if part)])


LINES: Mapping[str, Line] = {"json": json_line, "console": console_line}
"""By the names that IDP_LOG_FORMAT takes."""


class LineFormatter(logging.Formatter):
    """Formats records of `logging` as such lines."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        exception = self.formatException(record.exc_info) if record.exc_info else ""
        level = record.levelname.lower()
        return self._line(record.created, level, record.name, record.getMessage(), _extras(record), exception)


_LAST_WORDS = 1.0
"""Seconds that the end of a process waits for its log."""


class _LineHandler(logging.Handler):
    """Writes such lines to standard error, which is a `LogStream`."""

    def __init__(self, line: Line, stream: LogStream) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(line))
        self._stream = stream

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the handler's lock: the stream has its own, and who holds that one may log as well."""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)
        return True

    def flush(self) -> None:
        """`logging` asks for it when the process ends."""
        self._stream.drain(_LAST_WORDS)


class AccessLog:
    """A line for each answer, unless only warnings are wanted.

    `logging` takes longer over a line than the service over some answers, so these go by themselves: all that came
    in `interval` seconds together.
    """

    def __init__(self, log_format: str, level: str, *, interval: float = 0.1) -> None:
        self._line = LINES[log_format]
        self._is_on = logging.getLevelName(level) <= logging.INFO
        self._interval = interval
        self._waiting: list[tuple[float, str, str, int, float, Origin]] = []

    def observe(self, route: str, method: str, status: int, seconds: float, origin: Origin) -> None:
        """Writes the answer down, a moment later."""
        if not self._is_on:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(self._interval, self.flush)
        self._waiting.append((time.time(), route, method, status, seconds, origin))

    def flush(self) -> None:
        """Writes what waits."""
        waiting, self._waiting = self._waiting, []
        sys.stderr.write("".join([self._told(*answer) for answer in waiting]))

    def _told(self, at: float, route: str, method: str, status: int, seconds: float, origin: Origin) -> str:
        details = {
            "route": route,
            "method": method,
            "status": status,
            "ms": int(seconds * 100_000) / 100,
            "source": origin.source,
            "request_id": origin.request_id,
        }
        return self._line(at, "info", "idp.access", "request", details) + "\n"


def _dumped(line: dict[str, object]) -> str:
    """The line in ASCII, unless all of it can be seen: of what commands a terminal, JSON must escape only a part."""
    try:
        text = orjson.dumps(line, default=str).decode()
    except TypeError:  # halves of surrogate pairs, which have no place in UTF-8
        return json.dumps(line, default=str)
    is_plain = text.isascii() and "\x7f" not in text  # JSON escapes the other control characters of ASCII
    return text if is_plain or text.isprintable() else json.dumps(line, default=str)


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def configure(log_format: str, level: str) -> None:
    """Sends everything to standard error, in one format, and has nobody who writes there wait for whoever reads it.
    uvicorn's access log is ours (`idp.access`)."""
    line = LINES[log_format]
    handler = _LineHandler(line, _unhurried_standard_error(line))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True
    for noisy in ("databases", "asyncio", "alembic", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def _unhurried_standard_error(line: Line) -> LogStream:
    """Takes the place of `sys.stderr`, for tracebacks and announcements too."""

    def lost_line(lost: int) -> str:
        return line(time.time(), "error", __name__, "log lines lost", {"lost": lost}) + "\n"

    # A process that was started without standard error may have anything else under its number.
    descriptor = sys.stderr.fileno() if sys.stderr else os.open(os.devnull, os.O_WRONLY)
    stream = LogStream(descriptor, lost_line)
    os.register_at_fork(after_in_child=stream.begin)
    sys.stderr = io.TextIOWrapper(stream, "utf-8", "backslashreplace", write_through=True)
    return stream
