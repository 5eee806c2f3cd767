"""Structured logs: one JSON object a line, with the ids that a line is about and no secrets.

Decides: the line's form, and which extra fields are written: only those named here, so nothing slips in.
Never: what is logged. Times are UTC, for people; nothing decides by them.
"""

import logging
import sys
import time
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the operator request that is being answered; every line logged meanwhile carries it."""

FIELDS: dict[str, str] = {
    "run": "a run's id",
    "round": "the number of a round within its run",
    "lease": "a lease's id",
    "device": "a device's id",
    "devices": "how many devices it is about",
    "chunk": "the number of a chunk of devices whose facts are kept together",
    "version": "a model version's digest",
    "state": "the state that the first of them is in now",
    "cause": "the number of the step that decided it; the journal's entries carry it too",
    "actor": "who caused it: person:<role>, service:<name>, device:<id>, or the plane itself",
    "reason": "why, in the words of the core or of the person",
    "code": "a problem's code",
    "why": "what the problem says",
    "word": "what the device was told",
    "method": "a request's method",
    "path": "a request's path, without its query",
    "status": "the answer's status",
    "ms": "milliseconds until the answer began",
    "route": "the route or verb of a request",
    "webhook": "a webhook's id",
    "address": "whence somebody tried to sign in",
    "role": "the role that signed in",
    "verb": "what somebody was denied",
    "send": "what the aggregation role was asked for",
    "url": "where the plane answers",
    "plane": "the plane's id",
    "blobs": "how many blobs",
    "uploads": "how many unfinished uploads",
    "keys": "how many upload keys",
    "rounds": "how many rounds",
}
"""The extra fields a line may carry -> what each is."""

LINES: tuple[tuple[str, str, str, str], ...] = (
    ("podium.server", "serving", "info", "url, plane"),
    ("podium.plane", "plane open", "info", "plane"),
    ("podium.plane", "plane closed", "info", "plane"),
    ("podium.boot", "reconciled", "info", "uploads, keys, rounds"),
    (
        "podium.history",
        "the kind of a record that is durable now",
        "by kind",
        "cause, actor, the ids of its rows, reason",
    ),
    ("podium.requests", "answered", "info", "request, method, path, status, ms, code"),
    ("podium.operators", "denied", "warning", "request, actor, verb"),
    ("podium.operators", "an operator request broke a rule", "critical", "request, route, why"),
    ("podium.console", "signed in", "info", "request, role"),
    ("podium.console", "a wrong credential", "warning", "request, address"),
    ("podium.console", "a page broke a rule", "critical", "request, path, why"),
    ("podium.devices", "device enrolled", "info", "device"),
    ("podium.facts", "facts of devices restored", "info", "devices"),
    ("podium.facts", "facts of devices are passed over", "warning", "chunk, why"),
    ("podium.facts", "facts of devices cannot be read", "warning", "code, why"),
    ("podium.facts", "facts of devices are not kept", "warning", "code, why"),
    ("podium.leases", "report answered", "info", "lease, word, code"),
    ("podium.gateway", "a device request broke a rule", "critical", "route, why"),
    ("podium.aggregation", "the store failed the aggregation role", "error", "code, why"),
    ("podium.aggregation", "round cannot be finished", "error", "run, round, code"),
    ("podium.aggregation", "the aggregation role broke", "critical", "send, a traceback"),
    ("podium.loop", "the core is dropped and reloaded", "error", "code, why"),
    ("podium.loop", "the plane cannot be loaded", "error", "code, why"),
    ("podium.loop", "the core broke", "critical", "a traceback"),
    ("podium.webhooks", "webhook stands still", "error", "code, why"),
    ("podium.webhooks", "a delivery was given up", "warning", "webhook, why"),
    ("podium.webhooks", "a webhook has no secret", "error", "webhook"),
    ("podium.webhooks", "webhooks wait", "warning", "code, why"),
    ("podium.traces", "a round was not traced", "error", "a traceback"),
    ("podium.retention", "swept", "info", "blobs, uploads"),
    ("podium.retention", "sweep failed", "error", "code, why"),
)
"""(logger, message, level, what it carries) of every line that the plane writes; a test holds it equal to the code."""

LOGGERS = ("podium", "uvicorn", "opentelemetry")
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
        if request := REQUEST.get():
            line["request"] = request
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log_to(path: Path | None, level: int = logging.INFO) -> logging.Handler:
    """Send Podium's, the HTTP server's and the trace exporter's logs to `path`, or to stderr without one.

    The handler, to be removed.

    A file is turned over at `FILE_BYTES_MAX`; the last `FILES_KEPT` are kept beside it.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path is not None:
        handler = RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT)
    handler.setFormatter(JsonLine())
    handler.setLevel(level)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """Take `handler` away again and close it."""
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(handler)
    handler.close()
