"""Runs: lists, one with its resources, how many an hour, and what they failed of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ingest.lookup.causes import Cause, grouped
from ingest.lookup.database import NotStored, Reader, Row
from ingest.reads.paging import Page, Place
from schemas.kinds.formats import canonical_uuid
from schemas.settings import Settings

DAY: Final = timedelta(days=1)
MOST_FAILURES: Final = 2000
"""Of a window, that are grouped: the newest."""
HOURS_BEFORE: Final = 6
"""In which a change on the server may be why a run failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsWanted:
    """Runs that started in [since, until), of this organization, node and status; None: any."""

    since: datetime
    until: datetime
    organization: str | None = None
    node: str | None = None
    status: str | None = None
    rows: int = 50
    after: Place | None = None


def aborted_before(settings: Settings, now: datetime) -> datetime:
    """A run that started before this and has not ended is shown as aborted."""
    return now - timedelta(seconds=settings.run_aborted_seconds)


def listed(reader: Reader, wanted: RunsWanted, aborted: datetime) -> Page:
    """A page of runs, newest first."""
    keys = _keys(wanted, aborted) | {"status": wanted.status}
    return reader.page("runs.sql", "listed", wanted.rows, wanted.after, **keys)


def hours(reader: Reader, wanted: RunsWanted, aborted: datetime) -> list[Row]:
    """hour, started, success, failure, aborted; of hours in which none started there is no row."""
    return reader.rows("runs.sql", "hours", **_keys(wanted, aborted))


def errors(reader: Reader, wanted: RunsWanted) -> list[Cause]:
    """What runs of a window failed of, the most frequent first; of very many failures the newest count."""
    keys = _keys(wanted, wanted.since) | {"rows": MOST_FAILURES}
    del keys["aborted"]
    return grouped(reader.rows("runs.sql", "failed", **keys))


def run(reader: Reader, run_id: str, aborted: datetime) -> Row:
    """One run. Raises NotStored."""
    found = canonical_uuid(run_id)
    rows = reader.rows("runs.sql", "run", run_id=found, aborted=aborted) if found else []
    if not rows:
        raise NotStored("there is no such run; `chef-ingest runs list` shows those there are")
    return rows[0]


def resources(reader: Reader, run_id: str, after: int = -1, most: int = 200) -> tuple[Sequence[Row], int | None]:
    """Resources of a run after a position, and the position after which there are more."""
    rows = reader.rows("runs.sql", "resources", run_id=run_id, after=after, rows=most + 1)
    return rows[:most], rows[most - 1]["position"] if len(rows) > most else None


def _keys(wanted: RunsWanted, aborted: datetime) -> dict[str, Any]:
    return {
        "since": wanted.since.astimezone(UTC),
        "until": wanted.until.astimezone(UTC),
        "organization": wanted.organization,
        "node": wanted.node,
        "aborted": aborted,
    }
