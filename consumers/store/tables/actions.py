"""Table `actions`: an id is taken once, what was posted during a run is not stored, and the first content stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from consumers.database import statements
from consumers.database.binary import array as packed_array
from consumers.database.connection import Connection
from consumers.database.copy import copy_rows
from consumers.store.tables import Write, WriteFew, array
from consumers.store.tables.runs import known_runs
from schemas.kinds.action import KIND, ActionRow
from schemas.kinds.columns import Column, columns
from schemas.kinds.kind import location
from schemas.run_rule import named_run, run_rule
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.verdict import Conflict, Created, DuringRun, Verdict


def is_node_deletion(row: ActionRow) -> bool:
    """Whether a node is gone."""
    return row.task == "delete" and row.entity_type == "node"


_SENT: Final = (*columns(ActionRow), Column("run_id", "uuid"))
"""What the statement for several is given, an array of each."""
_NOTHING: Final[Mapping[str, Any]] = {"doors": [], "outcomes": [], "counts": [], "drift": "[]"}
"""What it is given where the ledger counts nothing."""


class Actions:
    """Writes actions under the run rule."""

    def __init__(self, settings: Settings) -> None:
        self._rule = settings.during_run
        self._sql = statements.load("consumers.store.tables", "actions.sql", ActionRow)
        counting = statements.load("consumers.store", "store.sql")["count_drift"]
        self._insert_few = self._sql["insert_few"].format(count_drift=counting).encode()
        self._path = location(KIND)
        self.prepare = self.finish = None
        self.writes: Mapping[str, Write] = {KIND.name: self.write}
        self.writes_few: Mapping[str, WriteFew] = {KIND.name: self.write_few}

    def write(self, connection: Connection, rows: Sequence[ActionRow]) -> list[Verdict]:
        """Those that no rule skips, by COPY; an id that is there already stays as it is."""
        skipped = self._skipped(connection, rows)
        first: dict[str, ActionRow] = {}
        for i, row in enumerate(rows):
            if i not in skipped:
                first.setdefault(row.id, row)
        fresh, standing = self._insert(connection, first)
        return [skipped.get(i) or self._verdict(row, fresh, standing) for i, row in enumerate(rows)]

    def write_few(
        self, connection: Connection, rows: Sequence[ActionRow], counted: Mapping[str, Any]
    ) -> list[Verdict] | None:
        """New actions in one round trip: somebody waits.

        None: one was not new, or is skipped by another rule than the run's, and nothing was done.
        """
        if any(run_rule(row, {}, self._rule) is not None for row in rows):
            return None
        by_id = {row.id: row for row in rows}
        if len(by_id) < len(rows):
            return None
        ids = sorted(by_id)  # One order for everybody, so that two workers never deadlock.
        plain = len(rows) == 1 and not counted and not is_node_deletion(rows[0])
        insert = self._insert_one if plain else self._insert_several
        during = insert(connection, [by_id[each] for each in ids], counted)
        told = dict(zip(ids, during, strict=False))  # All of them, or none.
        return [self._told(row, told[row.id]) for row in rows] if told else None

    def _insert_one(self, connection: Connection, rows: Sequence[ActionRow], _counted: Mapping[str, Any]) -> list[bool]:
        [row] = rows
        values = row._asdict() | {"run_id": self._run(row)}
        return [each[0] for each in connection.execute(self._sql["insert_action"].encode(), values)]

    def _insert_several(
        self, connection: Connection, rows: Sequence[ActionRow], counted: Mapping[str, Any]
    ) -> list[bool]:
        columns_sent = (*zip(*rows, strict=True), list(map(self._run, rows)))
        values = {
            column.field: packed_array(column.type, sent) for column, sent in zip(_SENT, columns_sent, strict=True)
        }
        return [each[0] for each in connection.execute(self._insert_few, {**values, **_NOTHING, **counted})]

    def _run(self, row: ActionRow) -> str | None:
        """The run that decides whether it is stored."""
        return named_run(row) if self._rule in ("run_id", "both") else None

    def _told(self, row: ActionRow, during: bool) -> Verdict:
        return DuringRun("run_id", named_run(row)) if during else Created(self._path(row))

    def _skipped(self, connection: Connection, rows: Sequence[ActionRow]) -> dict[int, DuringRun]:
        """Position -> why the action is not stored."""
        runs: dict[str, str] = {}
        if self._rule in ("run_id", "both"):
            named = {run for row in rows if (run := named_run(row))}
            runs = {run: owner[0] for run, owner in known_runs(connection, named).items()}
        if not runs and self._rule == "run_id":
            return {}  # By the run ids alone nothing is skipped when no action names a run.
        return {i: rule for i, row in enumerate(rows) if (rule := run_rule(row, runs, self._rule))}

    def _insert(
        self, connection: Connection, rows: Mapping[str, ActionRow]
    ) -> tuple[set[str], Mapping[str, ActionRow]]:
        """Stores what is new; the ids of that, and what stands under each id now."""
        ids = sorted(rows)
        if not ids:
            return set(), rows
        taking = {"id": array(ids), "recorded_at": array([rows[each].recorded_at for each in ids])}
        taken = connection.execute(self._sql["insert_action_ids"].encode(), taking).rowcount
        standing: dict[str, ActionRow] = {}
        if taken < len(ids):
            # Ours have no row yet: the ones that have were stored before.
            found = connection.execute(self._sql["stored_actions"].encode(), {"ids": array(ids)})
            standing = {row[0]: ActionRow._make(row) for row in found}
        fresh = [each for each in ids if each not in standing]
        if fresh:
            new = (rows[each] for each in fresh)
            copy_rows(connection, self._sql["copy_actions"], columns(ActionRow), new)
        return set(fresh), {**rows, **standing}

    def _verdict(self, row: ActionRow, fresh: set[str], standing: Mapping[str, ActionRow]) -> Verdict:
        stored = standing[row.id]
        if stored is not row and (differing := differences(stored, row)):
            return Conflict(differing)
        duplicate = row.id not in fresh
        fresh.discard(row.id)
        return Created(self._path(row), duplicate)


TABLE = Actions
