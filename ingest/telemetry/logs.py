"""Logs to standard error: JSON for machines, readable on a terminal; set up once, at an entry point."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import msgspec
import structlog

from ingest.telemetry.masking import RepeatLimiter, mask_secrets
from schemas.settings import Settings


def configure(settings: Settings) -> None:
    """Send structlog's events to standard error as the settings say, and keep the libraries' chatter down."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(_json)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            RepeatLimiter(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The console's own way shows local variables: bodies and passwords among them.
            structlog.processors.format_exc_info,
            mask_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=(
            structlog.WriteLoggerFactory(file=sys.stderr)
            if console
            else structlog.BytesLoggerFactory(file=sys.stderr.buffer)
        ),
        cache_logger_on_first_use=True,
    )
    # What these have to say of a lost server we say ourselves, in one line and without a traceback.
    for name in ("pika", "psycopg", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _json(event: dict[str, Any], **_: Any) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except UnicodeEncodeError:
        # A lone surrogate, from a sender's text: the standard library escapes it.
        return json.dumps(event, default=repr).encode()
