"""Commits batches to PostgreSQL, one transaction each, and sets aside the rows that it refuses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from consumers.database import statements
from consumers.database.connection import Connection, Purpose, connect
from consumers.database.errors import blame, translated
from consumers.database.migrations import require_current
from consumers.delivery import Delivery, Judged, is_patient
from consumers.errors import Misconfigured, StoreUnavailable
from consumers.ledger.counts import acknowledgements, tallies
from consumers.ledger.drift import drifts, parameters
from consumers.machines.pauses import Pause, pauses
from consumers.runtime.failpoints import Failpoint
from consumers.runtime.urls import Urls
from consumers.store.bound import Bound
from consumers.store.letters import LetterWriter
from consumers.store.writer import Writer, in_order
from schemas.kinds import tables
from schemas.settings import Settings
from schemas.validation.judge import Candidate
from schemas.verdict import Created, Invalid, Pong, UnknownRun, Verdict, WaitsForRun

FEW: Final = 16
"""Rows that one statement writes with less work than a transaction of several with COPY [measured]."""
PRUNED_AT_ONCE: Final = 500
MOVED_AT_ONCE: Final = 10_000
SUMMED_AT_ONCE: Final = 50_000
LONGEST_STEP_SECONDS: Final = 45
"""The last step takes as long as a month has rows that came too early; the broker waits for heartbeats for 60 s."""


class PostgresStore:
    """One connection, one transaction a batch. Not for use by two threads at once."""

    def __init__(self, settings: Settings, worker_version: str, failpoint: Failpoint, urls: Urls | None = None) -> None:
        self._settings = settings
        self._urls = urls or Urls(settings)
        # It worked a moment ago: that weighs more than what an error's class says of it.
        self._has_connected = self._has_committed = False
        self._failpoint = failpoint
        self._sql = statements.load("consumers.store", "store.sql")
        self._writer = Writer(settings)
        letters = statements.load("consumers.store", "letters.sql")
        bound = Bound(letters, settings.letters_per_hour, settings.letters_max)
        self._letters = LetterWriter(letters, worker_version, settings.max_replays, bound)
        self._purpose = Purpose(
            "chef-ingest worker",
            statement=settings.statement_timeout_seconds,
            lock=settings.lock_timeout_seconds,
            # Four statements' worth: whoever says nothing for longer is gone.
            silence=4 * settings.statement_timeout_seconds,
        )
        self._connection: Connection | None = None

    def connect(self) -> None:
        """Connect if need be, and see that rows can be written: a database that answers may still refuse them.

        Raises StoreUnavailable, or Misconfigured when waiting would not help.
        """
        connection = self._open()
        try:
            with connection.transaction(force_rollback=True):
                self._require_writable(connection)
                connection.execute(self._sql["lock_tables"].format(tables=", ".join(tables())).encode())
                connection.execute(self._sql["insert_tally"].encode(), {"outcome": "duplicate", "rule": "", "count": 1})
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = self._urls.dial("database_url", self._connected)
            except Misconfigured as error:
                if self._has_connected:
                    raise StoreUnavailable(f"{error}; it worked before") from error
                raise
            self._has_connected = True
        return self._connection

    def commit(self, items: Sequence[Judged]) -> list[Verdict]:
        """Store what can be stored and keep the rest as letters, all in one transaction; a verdict each.

        Returns only after COMMIT. Raises StoreUnavailable (nothing was committed, or it is not known:
        committing the same items again is safe) or Misconfigured. Whatever else is raised is a fault of one of them.
        """
        self._open()
        try:
            try:
                verdicts = self._few(items) or self._transaction(items, isolate=False)
            except psycopg.Error as error:
                if blame(error) != "row":
                    raise
                verdicts = self._transaction(items, isolate=True)
        except psycopg.Error as error:
            if blame(error) == "row":
                raise  # No row's any more, that was seen to: a letter's.
            raise self._translated(error) from error
        self._has_committed = True
        self._failpoint.reach("after_commit")
        return verdicts

    def dry_run(self, items: Sequence[Judged]) -> list[Verdict]:
        """What `commit` would say of these items now; nothing is kept. Raises as `commit` does."""
        connection = self._open()
        try:
            with connection.transaction(force_rollback=True):
                return self._verdicts(connection, items, isolate=True)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def make_partitions(self) -> list[str]:
        """Make the monthly partitions ahead; the names of new ones."""
        connection = self._open()
        months = {"months": self._settings.partitions_ahead + 1}
        try:
            return [row[0] for row in connection.execute(self._sql["make_partitions"].encode(), months)]
        except psycopg.Error as error:
            raise self._translated(error) from error

    def fill_partition(self) -> tuple[str, int, bool] | None:
        """A step towards the partition of a month whose rows came before it: its name, rows copied, and whether it is
        there now. None: there is nothing to do."""
        connection = self._open()
        values = {"months": self._settings.partitions_ahead + 1, "most": MOVED_AT_ONCE}
        try:
            with connection.transaction():
                connection.execute(self._sql["for_long"].encode(), {"seconds": LONGEST_STEP_SECONDS})
                return connection.execute(self._sql["fill_partition"].encode(), values).fetchone()
        except psycopg.Error as error:
            raise self._translated(error) from error

    def prune_letters(self) -> dict[str, int]:
        """Delete some of the letters that have been kept for long enough; how many by state, none: that was all."""
        connection = self._open()
        try:
            with connection.transaction():
                connection.execute(self._sql["forget_counts"].encode())
                return self._letters.prune(connection, self._settings.letters_keep_days, PRUNED_AT_ONCE)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def sum_drift(self) -> bool:
        """Make one line of each sort of some lines of drift; whether there may be more."""
        connection = self._open()
        try:
            with connection.transaction():
                found = connection.execute(self._sql["sum_drift"].encode(), {"most": SUMMED_AT_ONCE}).fetchone()
        except psycopg.Error as error:
            raise self._translated(error) from error
        return bool(found and found[0])

    def count_late_runs(self, seconds: float) -> bool:
        """Count, of so many past seconds at most, the actions stored before their run was known; whether there may be
        more."""
        connection = self._open()
        by_run_id = self._settings.during_run in ("run_id", "both")
        try:
            with connection.transaction():
                due = connection.execute(self._sql["late_runs_due"].encode(), {"seconds": seconds}).fetchone()
                if due is not None:
                    values = {"low": due[0], "high": due[1], "by_run_id": by_run_id}
                    connection.execute(self._sql["count_late_runs"].encode(), values, prepare=False)
        except psycopg.Error as error:
            raise self._translated(error) from error
        return due is not None

    def pauses(self) -> list[Pause]:
        """What operators hold back."""
        connection = self._open()
        try:
            return pauses(connection)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Leave the database."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self, database_url: str) -> Connection:
        connection = connect(database_url, self._purpose)
        try:
            require_current(connection)
        except psycopg.Error as error:
            connection.close()
            raise translated(error, database_url) from error
        except Misconfigured:
            connection.close()
            raise
        return connection

    def _transaction(self, items: Sequence[Judged], *, isolate: bool) -> list[Verdict]:
        connection = self._connection
        assert connection is not None
        with connection.transaction():
            verdicts = self._verdicts(connection, items, isolate)
            verdicts = self._letters.write(connection, items, verdicts)
            for (outcome, rule), count in tallies(verdicts).items():
                values = {"outcome": outcome, "rule": rule, "count": count}
                connection.execute(self._sql["insert_tally"].encode(), values)
            for (door, outcome), count in acknowledgements(items, verdicts).items():
                values = {"door": door, "outcome": outcome, "count": count}
                connection.execute(self._sql["insert_taking"].encode(), values)
            if drifted := drifts(items, verdicts):
                connection.execute(self._sql["count_drift"].encode(), parameters(drifted))
            self._failpoint.reach("before_commit")
        return verdicts

    def _few(self, items: Sequence[Judged]) -> list[Verdict] | None:
        """The verdicts on a batch of a few rows that are new; None: it goes the way of all batches."""
        connection = self._connection
        assert connection is not None
        if connection.pooled:
            # The search path, as all that we set, is a transaction's there, and this is a bare statement.
            return None
        candidates = [item.judgement for item in items if isinstance(item.judgement, Candidate)]
        if not 0 < len(items) == len(candidates) <= FEW or not all(_is_first(item.delivery) for item in items):
            return None
        # It is all or nothing: what the ledger counts is known before.
        new = [Created("")] * len(items)
        counted: dict[str, Any] = {}
        if counts := acknowledgements(items, new):
            doors, outcomes = map(list, zip(*counts, strict=True))
            counted = {"doors": doors, "outcomes": outcomes, "counts": list(counts.values())}
        if drifted := drifts(items, new):
            counted |= parameters(drifted)
        self._failpoint.reach("before_commit")
        return self._writer.write_few(connection, candidates, counted)

    def _verdicts(self, connection: Connection, items: Sequence[Judged], isolate: bool) -> list[Verdict]:
        candidates = [item for item in items if isinstance(item.judgement, Candidate)]
        if isolate:
            candidates = in_order(candidates)
            stored = self._isolated(connection, candidates)
        else:
            stored = self._writer.write(connection, candidates)
        by_item = {id(item): verdict for item, verdict in zip(candidates, stored, strict=True)}
        verdicts = []
        for item in items:
            if isinstance(item.judgement, Pong):
                self._require_writable(connection)
            if isinstance(item.judgement, Candidate):
                verdicts.append(self._told(item, by_item[id(item)]))
            else:
                verdicts.append(item.judgement)
        return verdicts

    def _told(self, item: Judged, verdict: Verdict) -> Verdict:
        # Asked this late on purpose: after an outage, or behind a lock, nobody waits any more.
        if isinstance(verdict, UnknownRun) and is_patient(
            item.delivery, time.time(), self._settings.run_end_patience_seconds
        ):
            return WaitsForRun(verdict.run_id, verdict.text)
        return verdict

    def _isolated(self, connection: Connection, items: Sequence[Judged]) -> list[Verdict]:
        """Halve until the refused rows stand alone: about 2 k log2(n) tries for k of n rows."""
        try:
            with connection.transaction():
                return self._writer.write(connection, items)
        except psycopg.Error as error:
            if blame(error) != "row":
                raise
            if len(items) == 1:
                return [_refused(error)]
        middle = len(items) // 2
        return self._isolated(connection, items[:middle]) + self._isolated(connection, items[middle:])

    def _require_writable(self, connection: Connection) -> None:
        row = connection.execute(self._sql["read_only"].encode()).fetchone()
        if row is None or row[0]:
            raise psycopg.errors.ReadOnlySqlTransaction("the database is read-only")

    def _translated(self, error: psycopg.Error) -> StoreUnavailable | Misconfigured:
        # What a broken connection still holds is not to be trusted, nor plans made for what has changed since.
        self.close()
        fault = translated(error, self._settings.database_url)
        if isinstance(fault, Misconfigured) and self._has_committed:
            return StoreUnavailable(f"{fault}; it worked before")
        return fault


def _is_first(delivery: Delivery) -> bool:
    """Whether it comes for the first time, and is no letter's."""
    return not delivery.headers or not (delivery.deliveries or delivery.retries or delivery.letter_id is not None)


def _refused(error: psycopg.Error) -> Invalid:
    diagnostic = error.diag
    field = diagnostic.column_name or diagnostic.constraint_name or "message"
    text = diagnostic.message_primary or str(error)
    return Invalid("database", "refused", {field: text}, error.sqlstate)
