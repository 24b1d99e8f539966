"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime

JOURNAL_STREAM = "JOURNAL_STREAM"
"""Environment variable with device and inode of the stream to journald (systemd.exec(5))."""
STANDARD_ERROR = 2


class JsonFormatter(logging.Formatter):
    """Formats a record with its time, level, text and the fields given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class JournalFormatter(JsonFormatter):
    """The same after a priority, which journald takes off and files the line under."""

    def format(self, record: logging.LogRecord) -> str:
        """``<N>`` (sd-daemon(3)) and one line of JSON."""
        return f"<{priority(record.levelno)}>{super().format(record)}"


def priority(level: int) -> int:
    """The priority of syslog(3) for a level of `logging`."""
    if level >= logging.ERROR:
        return 3
    if level >= logging.WARNING:
        return 4
    return 6 if level >= logging.INFO else 7


def is_journal(descriptor: int) -> bool:
    """Whether journald reads what is written to a descriptor.

    The variable alone says it of the process that the service manager started: standard error may
    lead elsewhere since.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get(JOURNAL_STREAM) == f"{status.st_dev}:{status.st_ino}"


def configure(level: str) -> None:
    """Send logs of this level and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JournalFormatter() if is_journal(STANDARD_ERROR) else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
