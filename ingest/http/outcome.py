"""What became of a publish, as far as the shim knows when it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from schemas.verdict import Verdict


class Refusal(Enum):
    """Why a message is not, or may not be, with the broker; the value is the code in logs and answers."""

    NOT_CONNECTED = "not_connected"
    CONNECTION_LOST = "connection_lost"
    BLOCKED = "blocked"
    UNROUTABLE = "unroutable"
    NACKED = "nacked"
    UNCONFIRMED = "unconfirmed"
    OVERLOADED = "overloaded"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    SPOOL_FULL = "spool_full"
    SPOOL_FAILED = "spool_failed"
    SPOOL_SLOW = "spool_slow"


HOPELESS: Final = frozenset({Refusal.TOO_LONG, Refusal.TOO_LARGE})
"""What would be refused again, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The broker has confirmed the message; no verdict came within the wait."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """The broker did not confirm the message, the spool has it: it goes to the broker once that takes it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Neither broker nor spool has the message for sure: whoever sent it must send it again."""

    refusal: Refusal


QUEUED: Final = Queued()
SPOOLED: Final = Spooled()

Outcome = Verdict | Queued | Spooled | Refused
