"""Understands what a query asks for, within bounds; what makes no sense is told in full. Pure: it is told the time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeVar

from ingest.http.query import Query
from ingest.reads.paging import Place, from_cursor
from schemas.kinds.formats import chef_time
from schemas.labels import RUN_STATUSES

DAY: Final = timedelta(days=1)
LONGEST_WINDOW: Final = 92 * DAY
"""knife-reporting asks for 7,889,230 seconds at most, which is a little less."""
MOST_ROWS: Final = 1000
FURTHEST_START: Final = 10_000
"""Rows that are counted off before a page; a cursor leads on from there."""
MOST_RESOURCES: Final = 100_000
"""One message brought them all, and its size is bounded."""
MOST_BUCKETS: Final = 3000
GRANULARITIES: Final[Mapping[str, timedelta]] = MappingProxyType(
    {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": DAY, "week": 7 * DAY}
)
FILTERS: Final = (
    "entity_type", "entity_name", "parent_type", "parent_name", "task", "requestor_type", "requestor_name",
    "remote_request_id",
)  # fmt: skip
"""Columns of actions that a query may name a value of."""
FORMATS: Final = ("json", "ndjson", "csv")
PAGE: Final = 25

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LAST_SECOND: Final = 253_402_300_799
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FRACTION: Final = re.compile(r"\.([0-9]{1,6})")


T = TypeVar("T")


class Senseless(Exception):
    """The query can't be used: `faults` says each of why."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Window:
    """Both ends belong to it."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class RunsAsked:
    """Runs that started in a window: `rows` of them, newest first, after `start` others or after a place."""

    window: Window
    rows: int
    start: int
    status: str | None
    after: Place | None


@dataclass(frozen=True, slots=True)
class ResourcesAsked:
    """Resources of one run: `rows` of them after `start` others; `detail`: and what is known of the run."""

    rows: int
    start: int
    detail: bool


@dataclass(frozen=True, slots=True)
class ActionsAsked:
    """Actions `since` a time and `before` another (PostgreSQL's text; None: any), by columns' values, newest first."""

    since: str | None
    before: str | None
    rows: int
    start: int
    after: Place | None
    format: str = "json"
    filters: Mapping[str, str] = field(default_factory=dict)


def runs(query: Query, now: datetime) -> RunsAsked:
    """Raises Senseless."""
    read = _Reader(query)
    asked = RunsAsked(
        window=read.window(now),
        rows=read.number("rows", 10, least=1, most=MOST_ROWS),
        start=read.number("start", 0, most=FURTHEST_START),
        status=read.choice("status", RUN_STATUSES),
        after=read.cursor(),
    )
    read.only_one("start", "cursor")
    return read.done(asked)


def resources(query: Query) -> ResourcesAsked:
    """Raises Senseless."""
    read = _Reader(query)
    return read.done(
        ResourcesAsked(
            rows=read.number("rows", 10, least=1, most=MOST_RESOURCES),
            start=read.number("start", 0, most=MOST_RESOURCES),
            detail=read.choice("detail", ("true", "false")) != "false",
        )
    )


def counts(query: Query, now: datetime) -> tuple[Window, str]:
    """A window and the unit by which its runs are counted. Raises Senseless."""
    read = _Reader(query)
    window, unit = read.window(now), read.choice("granularity", tuple(GRANULARITIES)) or "hour"
    if (window.until - window.since) / GRANULARITIES[unit] > MOST_BUCKETS:
        read.faults.append(f"granularity: a window of more than {MOST_BUCKETS} of {unit}; name a larger unit")
    return read.done((window, unit))


def window(query: Query, now: datetime) -> Window:
    """Raises Senseless."""
    read = _Reader(query)
    return read.done(read.window(now))


def actions(query: Query) -> ActionsAsked:
    """A page of Analytics, counted from 1. Raises Senseless."""
    read = _Reader(query)
    rows = read.number("rows", PAGE, least=1, most=MOST_ROWS)
    page = read.number("page", 1, least=1, most=FURTHEST_START // rows + 1, blank=True)
    read.only_one("page", "cursor")
    return read.done(_actions(read, rows, (page - 1) * rows))


def export(query: Query) -> ActionsAsked:
    """Raises Senseless."""
    read = _Reader(query)
    rows = read.number("rows", MOST_ROWS, least=1, most=MOST_ROWS)
    return read.done(_actions(read, rows, 0, read.choice("format", FORMATS) or "json"))


def _actions(read: _Reader, rows: int, start: int, format: str = "json") -> ActionsAsked:
    since, before = read.time("since"), read.time("before")
    if since and before and since > before:
        read.faults.append("since: is after before")
    filters = {name: value for name, value in read.query.items() if name in FILTERS}
    return ActionsAsked(since, before, rows, start, read.cursor(), format, filters)


class _Reader:
    """Takes values out of a query, and gathers what is wrong with them."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.faults: list[str] = []

    def done(self, asked: T) -> T:
        if self.faults:
            raise Senseless(self.faults)
        return asked

    def number(self, name: str, default: int, *, least: int = 0, most: int, blank: bool = False) -> int:
        sent = self.query.get(name)
        if sent is None or (blank and not sent):
            return default
        if not _NUMBER.fullmatch(sent) or not least <= int(sent) <= most:
            self.faults.append(f"{name}: must be a whole number from {least} to {most}")
            return default
        return int(sent)

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        sent = self.query.get(name)
        if sent is not None and sent not in choices:
            self.faults.append(f"{name}: must be one of {', '.join(choices)}")
            return None
        return sent

    def window(self, now: datetime) -> Window:
        """`from` and `until`, UNIX seconds; the day before `until`, which is now, where none is named."""
        until = self._second("until", now)
        since = self._second("from", max(until - DAY, _EPOCH))
        if since > until:
            self.faults.append("from: is after until")
        elif until - since > LONGEST_WINDOW:
            self.faults.append(f"from: a window of more than {LONGEST_WINDOW.days} days; ask for one after the other")
        return Window(since, until)

    def _second(self, name: str, default: datetime) -> datetime:
        number = self.number(name, -1, most=_LAST_SECOND)
        return default if number < 0 else datetime.fromtimestamp(number, UTC)

    def time(self, name: str) -> str | None:
        """Of a time, with a fraction or without, or of a day: what PostgreSQL reads."""
        sent = self.query.get(name)
        if not sent:
            return None
        time = chef_time(f"{sent}T00:00:00Z" if _DAY.fullmatch(sent) else sent)
        if time is None:
            self.faults.append(f"{name}: must be a time, such as 2026-11-22T03:32:49Z")
            return None
        fraction = _FRACTION.search(sent)
        return time if fraction is None else f"{time[:-1]}.{fraction[1]}Z"

    def cursor(self) -> Place | None:
        sent = self.query.get("cursor")
        try:
            return None if sent is None else from_cursor(sent)
        except ValueError as error:
            self.faults.append(f"cursor: {error}; take it from the Link of the page before")
            return None

    def only_one(self, one: str, other: str) -> None:
        if one in self.query and other in self.query:
            self.faults.append(f"{other}: goes with no {one}, for it says where the page begins")
