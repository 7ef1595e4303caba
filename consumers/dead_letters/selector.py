"""Which letters a command is about: one selector language for all of them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.labels import LETTER_STATES

OPEN, REPLAYING, PARKED, RESOLVED, DISCARDED = LETTER_STATES
UNSETTLED: Final = (OPEN, REPLAYING, PARKED)

_COLUMNS: Final = {
    "ids": ("id", "bigint"),
    "states": ("state", "text"),
    "reasons": ("reason", "text"),
    "stages": ("stage", "text"),
    "fingerprints": ("fingerprint", "text"),
    "kinds": ("kind", "text"),
    "organizations": ("organization", "text"),
    "nodes": ("node", "text"),
    "doors": ("door", "text"),
    "replays": ("replay_run", "integer"),
}
WHOLE_FINGERPRINT: Final = 16
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Letters that have one of the values of every member that is not empty, last seen within the times.

    `after` leaves out that letter and those before it: where a page of them ended. `limit` takes the first so many, by
    id. An empty selector is every letter. Of a fingerprint its beginning will do.
    """

    ids: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()
    replays: tuple[int, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    limit: int | None = None

    def within(self, *states: str) -> Selector:
        """The same, of letters in these states, if none were asked for."""
        return self if self.states else dataclasses.replace(self, states=states)

    def where(self) -> tuple[str, dict[str, Any]]:
        """A condition on `dead_letters`, and its parameters. `limit` is the caller's to heed."""
        conditions, values = ["true"], dict[str, Any]()
        for member, (column, type_) in _COLUMNS.items():
            if wanted := getattr(self, member):
                # A fingerprint as a terminal shows it is the beginning of one.
                begins = member == "fingerprints" and any(len(each) < WHOLE_FINGERPRINT for each in wanted)
                conditions.append(f"{column} {'^@' if begins else '='} ANY (%({member})s::{type_}[])")
                values[member] = list(wanted)
        if self.since is not None:
            conditions.append("last_seen >= %(since)s")
            values["since"] = self.since
        if self.until is not None:
            conditions.append("last_seen < %(until)s")
            values["until"] = self.until
        if self.after is not None:
            conditions.append("id > %(after_id)s::bigint")
            values["after_id"] = self.after
        return " AND ".join(conditions), values

    def asked(self) -> dict[str, Any]:
        """Its members that say something."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value not in ((), None)}

    def in_words(self) -> str:
        """For a person: `reason schema, kind action`; empty of every letter."""
        told = [
            f"{name.removesuffix('s')} {' or '.join(map(str, value)) if isinstance(value, tuple) else value}"
            for name, value in self.asked().items()
        ]
        return ", ".join(told)

    def to_json(self) -> str:
        """Text that `from_json` reads; equal selectors give equal text."""
        return json.dumps(dataclasses.asdict(self), default=datetime.isoformat, sort_keys=True)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Selector:
        """The selector that `to_json` wrote, once parsed."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in members.items()
        }
        for name in ("since", "until"):
            if values.get(name) is not None:
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


# Of all that is ISO 8601: each Python reads more of it than the last, 24:00 as the next day too.
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def moment(text: str, now: datetime) -> datetime:
    """A time from `2h`, `3d` (before `now`) or ISO 8601, taken as UTC without a zone. Raises ValueError."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: give 30m, 2h, 3d, or 2026-11-22T05:00:00Z") from None
