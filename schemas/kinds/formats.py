"""What a schema can't say: UUIDs, names, times and whole numbers that mean something."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.wording import shorten

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_STORED_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# No later than 23:59:59: newer Pythons read 24:00:00 as the next day.
_STORED_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z")
_STORED_TIME_LENGTH: Final = 20
_ZONED_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?"
    r"(?:Z| UTC| ?(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):?(?P<minutes>[0-5][0-9]))"
)
_CHEF_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})T([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.[0-9]{1,9})?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):(?P<minutes>[0-5][0-9]))?"
)

WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
LARGEST_INTEGER: Final = 2**31 - 1
LARGEST_BIGINT: Final = 2**63 - 1
"""What PostgreSQL's columns of these types take."""
BLANK_NAME: Final = "blank_name"
"""The reason of a name without a letter."""


class Fault(NamedTuple):
    """Why a member means nothing: a stable reason for grouping, and a text for a person."""

    reason: str
    text: str


def canonical_uuid(value: object) -> str | None:
    """The UUID in lower case; None when `value` is anything but 36 characters of hex digits and hyphens."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value.lower()
    return None


def hyphenated(value: str) -> str:
    """A UUID in lower case, its hyphens put in where there are none."""
    plain = value.lower()
    if len(plain) != 32:
        return plain
    return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}"


def is_canonical_uuid(value: str) -> bool:
    """Whether text is a UUID as we store them, in lower case."""
    return _STORED_UUID.fullmatch(value) is not None


def uuid_fault(value: object) -> Fault | None:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        return Fault("not_a_uuid", f"{_shown(value)} is not a UUID")
    return None


def name_fault(value: object, what: str) -> Fault | None:
    """`'' is not a valid entity name`: a blank name, in the words of Chef's API documentation."""
    if isinstance(value, str) and not value.strip():
        return Fault(BLANK_NAME, f"{_shown(value)} is not a valid {what} name")
    return None


def zoned_time(value: str) -> str | None:
    """UTC as `YYYY-MM-DDTHH:MM:SSZ` from Ruby's Time#to_s or ISO 8601 with a zone; None when it is neither.

    Ruby writes `2026-11-21 19:32:49 -0800`, `... +0000` and `... UTC` [protocol.md 3.2]. A fraction is dropped.
    """
    return _read(_ZONED_TIME, value)


def chef_time(value: str) -> str | None:
    """UTC as `YYYY-MM-DDTHH:MM:SSZ` from a recorded_at, which may be unpadded and without Z [protocol.md 1.6].

    What is no Chef server may send RFC 3339; a fraction is dropped.
    """
    if len(value) == _STORED_TIME_LENGTH and _is_stored_time(value):
        return value
    return _read(_CHEF_TIME, value)


@lru_cache(maxsize=4096)
def _is_stored_time(value: str) -> bool:
    """Whether text is a time as we store them. Remembered: messages of one second have the same."""
    try:
        return _STORED_TIME.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
    except ValueError:
        return False  # Not a time, or a leap second.


def time_fault(value: object, read: Callable[[str], str | None]) -> Fault | None:
    """`read` is zoned_time or chef_time."""
    if isinstance(value, str) and read(value) is None:
        example = "2026-11-21 19:32:49 -0800 or " if read is zoned_time else ""
        return Fault("not_a_time", f"{_shown(value)} is not a time, such as {example}2026-11-22T03:32:49Z")
    return None


def _read(pattern: re.Pattern[str], value: str) -> str | None:
    found = pattern.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    leap = second == 60
    try:
        local = datetime(year, month, day, hour, minute, second - leap, tzinfo=_zone(found.groupdict()))
        utc = local.astimezone(UTC) + timedelta(seconds=leap)
    except (ValueError, OverflowError):
        return None
    if leap and (utc.hour, utc.minute) != (0, 0):
        return None  # Leap seconds end a day in UTC.
    return utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _zone(found: Mapping[str, str | None]) -> timezone:
    offset = timedelta(hours=int(found.get("hours") or 0), minutes=int(found.get("minutes") or 0))
    return timezone(-offset if found.get("sign") == "-" else offset)


def _shown(value: object) -> str:
    return shorten(repr(value), 100)
