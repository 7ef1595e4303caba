"""The ledger of a running system, by hour: what was acknowledged, and where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import psycopg

from consumers.database import statements
from consumers.database.connection import Purpose, session
from schemas.kinds import KINDS


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour's line. `acknowledged` is what shims had confirmed and what workers took from Chef servers; `letters`
    has those pruned since; of what is `told` its sender knows, and no letter was kept. Of what is stored, `late_run`
    are actions that came before their run was known, and `registering` those by which a node registered; None: not
    counted yet."""

    hour: datetime
    acknowledged: int = 0
    stored: int = 0
    during_run: int = 0
    duplicates: int = 0
    merged: int = 0
    letters: int = 0
    told: int = 0
    unconfirmed: int = 0
    redelivered: int = 0
    late_run: int | None = None
    registering: int | None = None

    @property
    def accounted(self) -> int:
        return self.stored + self.during_run + self.duplicates + self.merged + self.letters + self.told

    def row(self, carried: int) -> dict[str, Any]:
        """To print; `carried` is what has been acknowledged since the beginning and is not accounted for yet."""
        return {
            "hour": self.hour.strftime("%Y-%m-%dT%H:00Z"),
            "acknowledged": self.acknowledged,
            "stored": self.stored,
            "during_run": self.during_run,
            "duplicates": self.duplicates,
            "merged": self.merged,
            "letters": self.letters,
            "told": self.told,
            "difference": self.acknowledged - self.accounted,
            "carried": carried,
            "late_run": self.late_run,
            "registering": self.registering,
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """The hours, and what is on its way now."""

    hours: Sequence[Hour]
    in_flight: int

    @property
    def gap(self) -> int:
        """Positive: acknowledged and nowhere to be found. Negative: found more often than acknowledged."""
        return sum(hour.acknowledged - hour.accounted for hour in self.hours) - self.in_flight

    @property
    def explained(self) -> int:
        """How much of a surplus has a known reason: 503s for what the broker had, and repeated deliveries."""
        return sum(hour.unconfirmed + hour.redelivered for hour in self.hours)

    def rows(self) -> list[dict[str, Any]]:
        """A line an hour, oldest first."""
        carried, rows = 0, []
        for hour in self.hours:
            carried += hour.acknowledged - hour.accounted
            rows.append(hour.row(carried))
        return rows


def window(hours: int, now: datetime) -> datetime:
    """The beginning of a window that ends now: whole hours, this one included."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)


_COUNTED: Final = tuple(
    dict.fromkeys(
        (table.name, table.counted) for kind in KINDS.values() for table in kind.tables if table.counted is not None
    )
)
"""The tables in which messages leave their trace, and the column with its time."""


class Books:
    """Reads the ledger's tables. Raises StoreUnavailable or Misconfigured.

    To see no loss that is none, ask `acknowledged` first, then the queues, then `accounted`: what was
    acknowledged then is in a queue, in a worker's hands or in a table afterwards.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        sql = dict(statements.load("consumers.ledger", "ledger.sql"))
        pieces = [sql["stored_in"].format(table=table, column=column) for table, column in _COUNTED]
        self._sql = sql | {"stored": sql["stored"].format(tables="\nUNION ALL\n".join(pieces))}

    def acknowledged(self, since: datetime) -> dict[datetime, tuple[int, int, int, int]]:
        """Hour -> confirmed, taken, unconfirmed, redelivered."""
        return {row[0]: row[1:] for row in self._rows(["acknowledged"], since)[0]}

    def accounted(self, since: datetime) -> Sequence[Mapping[datetime, tuple[int, ...]]]:
        """Hour -> rows stored; hour -> during a run, duplicates, merged, told, pruned letters; hour -> letters."""
        found = self._rows(["stored", "skipped", "letters"], since)
        return [{row[0]: row[1:] for row in rows} for rows in found]

    def late_runs(self, since: datetime) -> Mapping[datetime, tuple[int, int]]:
        """Hour -> stored actions whose run became known after them, and how many of them registered a node."""
        return {row[0]: row[1:] for row in self._rows(["late_runs"], since)[0]}

    def _rows(self, names: Sequence[str], since: datetime) -> list[list[Any]]:
        with session(self._url, Purpose("chef-ingest audit", statement=120, silence=130)) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                return [connection.execute(self._sql[name].encode(), {"since": since}).fetchall() for name in names]


def balance(
    acknowledged: Mapping[datetime, tuple[int, int, int, int]],
    accounted: Sequence[Mapping[datetime, tuple[int, ...]]],
    in_flight: int,
    late_runs: Mapping[datetime, tuple[int, int]] = MappingProxyType({}),
) -> Ledger:
    """The ledger of what `Books` read."""
    stored, skipped, letters = accounted
    hours = []
    for hour in sorted({*acknowledged, *stored, *skipped, *letters}):
        confirmed, taken, unconfirmed, redelivered = acknowledged.get(hour, (0, 0, 0, 0))
        late_run, registering = late_runs.get(hour, (None, None))
        during_run, duplicates, merged, told, pruned = skipped.get(hour, (0, 0, 0, 0, 0))
        hours.append(
            Hour(
                hour=hour,
                acknowledged=confirmed + taken,
                stored=stored.get(hour, (0,))[0],
                during_run=during_run,
                duplicates=duplicates,
                merged=merged,
                letters=letters.get(hour, (0,))[0] + pruned,
                told=told,
                unconfirmed=unconfirmed,
                redelivered=redelivered,
                late_run=late_run,
                registering=registering,
            )
        )
    return Ledger(hours, in_flight)
