"""Logs to standard error: JSON for machines, readable on a terminal; set up once, at an entry point."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, cast

import msgspec
import structlog
from structlog.types import EventDict

from ingest.telemetry.masking import RepeatLimiter, mask_secrets
from ingest.telemetry.stream import LogStream
from schemas.printable import printable
from schemas.settings import Settings

_LEVELS: Final = frozenset({logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL})


def configure(settings: Settings) -> None:
    """Send structlog's events to standard error as the settings say, and keep the libraries' chatter down."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    rendered = [_shown, structlog.dev.ConsoleRenderer(colors=_coloured(os.environ)), _encoded] if console else [_json]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            RepeatLimiter(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The console's own way shows local variables: bodies and passwords among them.
            structlog.processors.format_exc_info,
            mask_secrets,
            *rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(file=cast(BinaryIO, LogStream(_descriptor()))),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(logging.WARNING)
    # What these have to say of a lost server we say ourselves, in one line and without a traceback.
    for name in ("pika", "psycopg", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _coloured(environ: Mapping[str, str]) -> bool:
    """Colours, where nobody has said no to them: by NO_COLOR (https://no-color.org), or by a terminal without any."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class _Bridge(logging.Handler):
    """What libraries log (asyncio, pika, warnings) takes the same form as what we do."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = record.levelname.lower() if record.levelno in _LEVELS else "warning"
            log = structlog.get_logger(record.name)
            getattr(log, level)("library", logger=record.name, text=record.getMessage(), exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


def _descriptor() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        # Closed, or exchanged for something that is no file.
        return 2


def _shown(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """For a terminal: senders' text is data, and steers nothing. What is no text is shown by its repr, as harmless."""
    return {
        name: printable(value, lines=name in ("exception", "stack")) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _encoded(_logger: Any, _method: str, line: str) -> bytes:
    return line.encode(getattr(sys.stderr, "encoding", None) or "utf-8", "backslashreplace")


def _json(_logger: Any, _method: str, event: EventDict) -> bytes:
    try:
        line = msgspec.json.encode(event, enc_hook=repr)
    except UnicodeEncodeError:
        # A lone surrogate, from a sender's text: the standard library escapes it.
        line = json.dumps(event, default=repr).encode()
    if line.isascii() and b"\x7f" not in line:
        return line
    # A log is read with tools that know nothing of JSON, too.
    return printable(line.decode()).encode()
