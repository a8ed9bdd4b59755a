"""Logging: one event a line, as JSON for machines or plain for a terminal. Nothing here is ever a secret (L1).

What a requester chose (a path, a name) can hold anything: JSON escapes it, and so does the plain form, so that no
line can be forged and no terminal commanded.
"""

import contextlib
import json
import logging
import sys
from datetime import UTC, datetime

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """A JSON object a line: time (RFC 3339), level, logger, event, and what belongs to the event."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _dumped(line)


class ConsoleFormatter(logging.Formatter):
    """`12:34:56 info  request  method=GET status=200`; what could command a terminal is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        details = " ".join(f"{name}={_visible(str(value))}" for name, value in _extras(record).items())
        line = f"{time} {record.levelname.lower():7} {_visible(record.getMessage())}  {details}".rstrip()
        return "\n".join([line, *self._traceback(record)])

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        """Indented, because the text of an error can hold what a requester chose, and must not pass for a line."""
        text = self.formatException(record.exc_info) if record.exc_info else ""
        return [f"    {_visible(line)}" for line in text.split("\n") if line]


def _dumped(line: dict[str, object]) -> str:
    """The line in ASCII, unless all of it can be seen: of what commands a terminal, JSON must escape only a part."""
    with contextlib.suppress(TypeError):  # halves of surrogate pairs, which have no place in UTF-8
        text = orjson.dumps(line, default=str).decode()
        if text.isprintable():
            return text
    return json.dumps(line, default=str)


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def configure(log_format: str, level: str) -> None:
    """Sends everything to standard error, in one format. uvicorn's access log is ours (`idp.access`)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter() if log_format == "console" else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True
    for noisy in ("databases", "asyncio", "alembic", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
