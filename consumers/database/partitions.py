"""Monthly partitions: lists them, makes them ahead, and drops what is older than a month, online."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from consumers.database import statements
from consumers.database.connection import Connection, Purpose, session
from consumers.errors import StoreUnavailable
from schemas.kinds import tables

LOCK_SECONDS: Final = 1
"""How long a drop waits for its lock: while it waits, everybody else waits behind it."""
TRIES: Final = 20
PAUSE_SECONDS: Final = 0.5
MOVED_AT_ONCE: Final = 10_000
"""Rows that one transaction copies out of the default partition."""
BLOCKS: Final = 256
"""Table blocks (8 KiB each) that one chunk of deletes reads."""
OLDEST: Final = date(2014, 1, 1)
"""Chef had no actions before; an older date is a typing slip."""


class DropRefused(Exception):
    """The drop was not begun; the message says what is wrong with the request."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a drop would do: drop a partition, or delete the rows of a table that is not partitioned by month."""

    action: str
    table: str
    rows: int
    bytes: int


def parse_month(text: str, today: date) -> date:
    """The first day of `YYYY-MM` (or of `YYYY-MM-01`), if dropping what is before it is sane. Raises DropRefused."""
    found = re.fullmatch(r"([0-9]{4})-([0-9]{2})(-01)?", text)
    if not found or not 1 <= int(found[2]) <= 12:
        raise DropRefused(f"--before {text}: not a month, YYYY-MM; partitions are whole months")
    month = date(int(found[1]), int(found[2]), 1)
    if month > today.replace(day=1):
        raise DropRefused(f"--before {text}: would drop the current month or a future one; the latest is {today:%Y-%m}")
    if month < OLDEST:
        raise DropRefused(f"--before {text}: before there were Chef actions ({OLDEST:%Y}); is the year right?")
    return month


class Partitions:
    """Partitions as operators see them, on a connection of its own. Raises StoreUnavailable or Misconfigured."""

    def __init__(self, database_url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._url = database_url
        self._sleep = sleep
        self._sql = statements.load("consumers.database", "partitions.sql")

    def listed(self) -> list[dict[str, Any]]:
        """Every partition: table, name, from, to (None: the default partition), rows estimated, bytes."""
        with self._connected() as connection:
            rows = connection.execute(self._sql["list_partitions"].encode(), _PARTITIONED).fetchall()
        names = ("table", "partition", "from", "to", "rows_estimated", "bytes")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def create(self, months: int) -> list[str]:
        """Make the current month's and the next `months`; the names of new ones.

        Rows of those months in the default partition are moved, some at a time; interrupted, it can be run again.
        """
        with self._connected(seconds=0) as connection:
            values = {"months": months + 1, "most": MOVED_AT_ONCE}
            made = [row[0] for row in connection.execute(self._sql["make_ahead"].encode(), values)]
            while step := connection.execute(self._sql["fill_partition"].encode(), values).fetchone():
                partition, _, attached = step
                made += [partition] if attached else []
            return made

    def plan(self, before: date) -> list[Step]:
        """What `drop` would do, exactly counted; nothing is changed."""
        with self._connected(seconds=0) as connection:
            return list(self._plan(connection, before))

    def drop(self, before: date, say: Callable[[str], None]) -> list[Step]:
        """Drop the partitions that end by `before`, then delete in small transactions what is as old elsewhere.

        Interrupted, it can be run again and goes on. Raises StoreUnavailable too when readers hold a
        partition so long that the lock can't be had.
        """
        if before > datetime.now(UTC).date().replace(day=1):
            raise DropRefused(f"{before} is not in the past")
        with self._connected(seconds=0) as connection:
            steps = list(self._plan(connection, before))
            for step in steps:
                if step.action == "drop":
                    self._drop_one(connection, step.table)
                else:
                    self._delete(connection, step.table, before)
                say(f"{step.action} {step.table}: {step.rows} rows")
            return steps

    def _plan(self, connection: Connection, before: date) -> Iterator[Step]:
        limit = {"before": datetime(before.year, before.month, 1, tzinfo=UTC)}
        for (name,) in connection.execute(self._sql["partitions_before"].encode(), limit | _PARTITIONED).fetchall():
            rows, size = self._measure(connection, name, sql.SQL("true"))
            yield Step("drop", name, rows, size)
        for table, column in _SWEPT.items():
            older = sql.SQL("{} < {}").format(sql.Identifier(column), limit["before"])
            rows, _ = self._measure(connection, table, older)
            if rows:
                yield Step("delete", table, rows, 0)

    def _measure(self, connection: Connection, table: str, where: sql.Composable) -> tuple[int, int]:
        statement = sql.SQL("SELECT count(*), pg_total_relation_size({}) FROM {} WHERE {}")
        found = connection.execute(statement.format(table, sql.Identifier(table), where)).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])

    def _drop_one(self, connection: Connection, name: str) -> None:
        for tried in range(1, TRIES + 1):
            try:
                with connection.transaction():
                    connection.execute(self._sql["lock_timeout"].encode(), {"seconds": LOCK_SECONDS})
                    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
            except psycopg.errors.LockNotAvailable:
                if tried == TRIES:
                    raise
                # Let those through who queued behind us before we try again.
                self._sleep(PAUSE_SECONDS)
            else:
                return

    def _delete(self, connection: Connection, table: str, before: date) -> None:
        """By ranges of blocks: one pass over the table, no index needed, and no row locked for long."""
        found = connection.execute(self._sql["blocks"].encode(), {"table": table}).fetchone()
        limit = datetime(before.year, before.month, 1, tzinfo=UTC)
        statement = sql.SQL("DELETE FROM {} WHERE ctid >= {} AND ctid < {} AND {} < {}")
        for block in range(0, int(found[0]) if found else 0, BLOCKS):
            low, high = (sql.SQL("{}::tid").format(f"({number},0)") for number in (block, block + BLOCKS))
            names = sql.Identifier(table), sql.Identifier(_SWEPT[table])
            connection.execute(statement.format(names[0], low, high, names[1], limit))

    @contextmanager
    def _connected(self, *, seconds: float = 30) -> Iterator[Connection]:
        """`seconds` for a statement; 0 for counting and sweeping large tables."""
        purpose = Purpose("chef-ingest partitions", statement=seconds, silence=1.3 * seconds)
        try:
            with session(self._url, purpose) as connection:
                yield connection
        except StoreUnavailable as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                why = f"a long query holds the partition: {error.__cause__}; try again later, nothing is blocked"
                raise StoreUnavailable(why) from error.__cause__
            raise


_PARTITIONED: Final = {"tables": [table.name for table in tables().values() if table.partitioned]}
_SWEPT: Final = {
    # What a partition leaves elsewhere: ids that would stay taken, rows from outside all months, whole runs.
    f"{table.name}_default" if table.partitioned else table.name: table.month
    for table in tables().values()
    if table.month is not None
}
