"""Structured logs: one JSON object a line, with the ids that a line is about and no secrets.

Decides: the line's form, and which extra fields are written: only those named here, so nothing slips in.
Never: what is logged. Times are UTC, for people; nothing decides by them.
"""

import logging
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

FIELDS: tuple[str, ...] = (
    "run",
    "round",
    "lease",
    "device",
    "route",
    "word",
    "code",
    "why",
    "role",
    "verb",
    "send",
    "url",
    "plane",
    "blobs",
    "uploads",
    "keys",
    "rounds",
)
"""The extra fields a line may carry."""


FILE_BYTES_MAX = 16 * 1024 * 1024
FILES_KEPT = 4


class JsonLine(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """at (UTC, ms), level, logger, message, the named extra fields, and a traceback if there is one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "at": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log_to(path: Path | None, level: int = logging.INFO) -> logging.Handler:
    """Send Podium's and the HTTP server's logs to `path`, or to stderr without one; the handler, to be removed.

    A file is turned over at `FILE_BYTES_MAX`; the last `FILES_KEPT` are kept beside it.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path is not None:
        handler = RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT)
    handler.setFormatter(JsonLine())
    handler.setLevel(level)
    for name in ("podium", "uvicorn"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """Take `handler` away again and close it."""
    for name in ("podium", "uvicorn"):
        logging.getLogger(name).removeHandler(handler)
    handler.close()
