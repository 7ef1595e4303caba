"""Table `actions`: an id is taken once, what was posted during a run is not stored, and the first content stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.database.copy import copy_rows
from consumers.ledger.drift import Drifted, parameters
from consumers.store.tables import Write, WriteAlone, array
from consumers.store.tables.runs import known_runs
from schemas.kinds.action import KIND, ActionRow
from schemas.kinds.columns import columns
from schemas.kinds.kind import location
from schemas.run_rule import named_run, run_rule
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.verdict import Conflict, Created, DuringRun, Verdict


def is_node_deletion(row: ActionRow) -> bool:
    """Whether a node is gone."""
    return row.task == "delete" and row.entity_type == "node"


class Actions:
    """Writes actions under the run rule."""

    def __init__(self, settings: Settings) -> None:
        self._rule = settings.during_run
        self._sql = statements.load("consumers.store.tables", "actions.sql", ActionRow)
        counting = statements.load("consumers.store", "store.sql")["count_drift"]
        self._insert_alone = self._sql["insert_action"].format(also="").encode()
        self._insert_drifting = (
            self._sql["insert_action"].format(also=self._sql["and_drift"].format(count_drift=counting)).encode()
        )
        self._path = location(KIND)
        self.prepare = self.finish = None
        self.writes: Mapping[str, Write] = {KIND.name: self.write}
        self.writes_alone: Mapping[str, WriteAlone] = {KIND.name: self.write_alone}

    def write(self, connection: Connection, rows: Sequence[ActionRow]) -> list[Verdict]:
        """Those that no rule skips, by COPY; an id that is there already stays as it is."""
        skipped = self._skipped(connection, rows)
        first: dict[str, ActionRow] = {}
        for i, row in enumerate(rows):
            if i not in skipped:
                first.setdefault(row.id, row)
        fresh, standing = self._insert(connection, first)
        return [skipped.get(i) or self._verdict(row, fresh, standing) for i, row in enumerate(rows)]

    def write_alone(self, connection: Connection, row: ActionRow, drifted: Sequence[Drifted]) -> Verdict | None:
        """A lone action in one round trip, its drift too: somebody waits.

        None: it was not new, is skipped by another rule than the run's, or has more to do, and nothing was done.
        """
        if run_rule(row, {}, self._rule) is not None or is_node_deletion(row):
            return None
        run = named_run(row) if self._rule in ("run_id", "both") else None
        insert, values = self._insert_alone, row._asdict() | {"run_id": run}
        if drifted:
            insert, values = self._insert_drifting, values | parameters(drifted)
        found = connection.execute(insert, values).fetchone()
        during, stored = found or (False, False)
        if during:
            return DuringRun("run_id", run)
        return Created(self._path(row)) if stored else None

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
