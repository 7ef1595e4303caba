"""How long tests wait: always for something to be so, never for a time; a limit that is never reached costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LONG: Final = 120.0
"""Seconds for what takes a moment on an idle machine: a busy one has hung only after this."""

ANSWERED: Final[Mapping[str, object]] = {
    "wait_seconds": 60,
    "collector_action_wait_seconds": 60,
    "confirm_timeout_seconds": 60,
}
"""Settings by which a client hears its verdict, however busy the machine is: neither 202 nor 503 in its place."""

PATIENT: Final = {f"INGEST_{name.upper()}": str(value) for name, value in ANSWERED.items()}
"""The same, as environment variables."""
