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
    "entities": ("entity", "text"),
    "requestors": ("requestor", "text"),
}
_SINGULAR: Final = {"entities": "entity"}
_SENT_BY: Final = "EXISTS (SELECT FROM json_each_text(sender) AS told WHERE told.value ~* ANY (%(senders)s::text[]))"
_SAYS: Final = (
    "EXISTS (SELECT FROM (SELECT coalesce(plain, payload) || coalesce(edited_payload, '') AS body OFFSET 0) AS said,"
    " unnest(%(texts)s::bytea[]) AS wanted WHERE position(wanted IN body) > 0)"
)
"""Put together, a body is read and inflated once for all spellings."""
OLDEST: Final = "oldest"
NEWEST: Final = "newest"
SORTS: Final[Mapping[str, str]] = {
    OLDEST: "id",
    NEWEST: "id DESC",
    "seen": "last_seen DESC, id DESC",
    "attempts": "attempts DESC, id",
    "size": "octet_length(payload) DESC, id",
}
"""What a list is ordered by: the first letter first, the latest, the last seen, the most often refused, the largest."""
PAGED: Final = (OLDEST, NEWEST)
"""The orders in which letters stay where they are, so that a list can go on after one of them."""

BY: Final[Mapping[str, str]] = {"organization": "organization", "node": "node", "sender": "sent_by"}
"""What letters are grouped by besides their cause, and the column that says it."""

WHOLE_FINGERPRINT: Final = 16
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Letters that have one of the values of every member that is not empty, last seen within the times.

    `senders` are words of what is known of who sent it, in capitals or not: `10.0.0.1` is not `10.0.0.11`. `text` is
    somewhere in the body that was received, or in what it was edited to. `after` leaves out that letter and those
    before it: where a page of them ended. `limit` takes the first so many, by id. An empty selector is every letter.
    Of a fingerprint its beginning will do.
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
    entities: tuple[str, ...] = ()
    requestors: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    limit: int | None = None

    def within(self, *states: str) -> Selector:
        """The same, of letters in these states, if none were asked for."""
        return self if self.states else dataclasses.replace(self, states=states)

    def where(self, *, backwards: bool = False) -> tuple[str, dict[str, Any]]:
        """A condition on `dead_letters`, and its parameters. `limit` is the caller's to heed. `backwards`: by falling
        ids, `after` goes on."""
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
            conditions.append(f"id {'<' if backwards else '>'} %(after_id)s::bigint")
            values["after_id"] = self.after
        if self.senders:
            conditions.append(_SENT_BY)
            values["senders"] = [_as_words(each) for each in self.senders]
        if self.text:
            # The dearest comes last.
            conditions.append(_SAYS)
            values["texts"] = spellings(self.text)
        return " AND ".join(conditions), values

    def asked(self) -> dict[str, Any]:
        """Its members that say something."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value not in ((), None)}

    def in_words(self) -> str:
        """For a person: `reason schema, kind action`; empty of every letter."""
        told = [
            f"{_SINGULAR.get(name) or name.removesuffix('s')} "
            f"{' or '.join(map(str, value)) if isinstance(value, tuple) else value}"
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


def _as_words(text: str) -> str:
    """A regular expression of PostgreSQL for this text where no letter or digit goes on before or after it."""
    before = r"(^|[^[:alnum:]])" if text[:1].isalnum() else ""
    after = r"($|[^[:alnum:]])" if text[-1:].isalnum() else ""
    return before + re.escape(text) + after


def spellings(text: str) -> list[bytes]:
    """How a body may spell it: as it is, and as JSON does, with and without escapes for what is not ASCII."""
    found = [text]
    for ascii_only in (False, True):
        spelt = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        capitals = _ESCAPE.sub(lambda digits: digits[0].upper(), spelt)
        found += [each.replace("/", slash) for each in (spelt, capitals) for slash in ("/", r"\/")]
    return [each.encode("utf-8", "surrogateescape") for each in dict.fromkeys(found)]


_ESCAPE: Final = re.compile(r"(?<=\\u)[0-9a-f]{4}")

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
