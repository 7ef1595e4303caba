"""What one transaction writes: run starts, then actions under the run rule, then run ends; a verdict each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from consumers.database.copy import copy_text
from consumers.delivery import Judged
from schemas.kinds.rows import ActionRow, ResourceRow, RunEndRow, RunStartRow
from schemas.run_rule import named_run, run_rule
from schemas.validation.conflict import differences
from schemas.verdict import Conflict, Created, DuringRun, UnknownRun, Verdict

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes candidates with the statements of store.sql; `rule` is the `during_run` setting."""

    sql: Mapping[str, str]
    rule: str

    def write(self, connection: Connection, items: Sequence[Judged]) -> list[Verdict]:
        """One verdict for each item, in order. Items that are no candidates must not be given."""
        rows = [item.judgement.row for item in items]  # type: ignore[union-attr]
        verdicts: dict[int, Verdict] = {}
        starts = [(i, row) for i, row in enumerate(rows) if type(row) is RunStartRow]
        actions = [(i, row) for i, row in enumerate(rows) if type(row) is ActionRow]
        ends = [(i, row) for i, row in enumerate(rows) if type(row) is RunEndRow]
        if starts:
            verdicts.update(self._starts(connection, starts))
        if actions:
            verdicts.update(self._actions(connection, actions))
        if ends:
            verdicts.update(self._ends(connection, ends))
        return [verdicts[i] for i in range(len(rows))]

    def _starts(self, connection: Connection, starts: list[tuple[int, RunStartRow]]) -> dict[int, Verdict]:
        first: dict[str, RunStartRow] = {}
        for _, row in starts:
            first.setdefault(row.run_id, row)
        ours = [first[run_id] for run_id in sorted(first)]
        columns = {name: [getattr(row, name) for row in ours] for name in RunStartRow._fields}
        fresh = {row[0] for row in connection.execute(self.sql["insert_starts"], columns)}
        known = self._known(connection, first)
        verdicts: dict[int, Verdict] = {}
        for i, row in starts:
            if known[row.run_id] == (row.organization, row.node_name):
                verdicts[i] = Created(run_path(row), duplicate=row.run_id not in fresh)
                fresh.discard(row.run_id)
            else:
                verdicts[i] = Conflict({"run_id": f"run {row.run_id} belongs to another node"})
        return verdicts

    def _known(self, connection: Connection, run_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        ids = sorted(set(run_ids))
        if not ids:
            return {}
        found = connection.execute(self.sql["known_runs"], {"run_ids": _array(ids)})
        return {run_id: (organization, node) for run_id, organization, node in found}

    def _actions(self, connection: Connection, actions: list[tuple[int, ActionRow]]) -> dict[int, Verdict]:
        verdicts: dict[int, Verdict] = {}
        runs: dict[str, str] = {}
        if self.rule in ("run_id", "both"):
            named = {run for _, row in actions if (run := named_run(row))}
            runs = {run: owner[0] for run, owner in self._known(connection, named).items()}
        first: dict[str, ActionRow] = {}
        # By the run ids alone nothing is skipped when no action names a run.
        ruled = runs or self.rule != "run_id"
        for i, row in actions:
            if ruled and (skipped := run_rule(row, runs, self.rule)):
                verdicts[i] = skipped
            else:
                first.setdefault(row.id, row)
        fresh, standing = self._insert_actions(connection, first)
        for i, row in actions:
            if i not in verdicts:
                verdicts[i] = self._action(row, fresh, standing)
        return verdicts

    def _insert_actions(
        self, connection: Connection, rows: Mapping[str, ActionRow]
    ) -> tuple[set[str], Mapping[str, ActionRow]]:
        """Stores what is new; the ids of that, and what stands under each id now."""
        ids = sorted(rows)
        if not ids:
            return set(), rows
        columns = {"id": _array(ids), "recorded_at": _array([rows[each].recorded_at for each in ids])}
        taken = connection.execute(self.sql["insert_action_ids"], columns).rowcount
        standing: dict[str, ActionRow] = {}
        if taken < len(ids):
            # Ours have no row yet: the ones that have were stored before.
            found = connection.execute(self.sql["stored_actions"], {"ids": _array(ids)})
            standing = {row[0]: ActionRow._make(row) for row in found}
        fresh = [each for each in ids if each not in standing]
        if fresh:
            with connection.cursor().copy(self.sql["copy_actions"]) as copy:
                copy.write(copy_text([rows[each] for each in fresh]))
        return set(fresh), {**rows, **standing}

    def _action(self, row: ActionRow, fresh: set[str], standing: Mapping[str, ActionRow]) -> Verdict:
        stored = standing[row.id]
        if stored is not row and (differing := differences(stored, row)):
            return Conflict(differing)
        duplicate = row.id not in fresh
        fresh.discard(row.id)
        return Created(f"/actions/{row.id}", duplicate)

    def write_one(self, connection: Connection, row: ActionRow) -> Verdict | None:
        """A lone action in a transaction of its own, in one round trip: somebody waits.

        None: it was not new, or is skipped by another rule than the run's, and nothing was done.
        """
        if run_rule(row, {}, self.rule) is not None:
            return None
        run = named_run(row) if self.rule in ("run_id", "both") else None
        found = connection.execute(self.sql["insert_action"], row._asdict() | {"run_id": run}).fetchone()
        during, stored = found or (False, False)
        if during:
            return DuringRun("run_id", run)
        return Created(f"/actions/{row.id}") if stored else None

    def _ends(self, connection: Connection, ends: list[tuple[int, RunEndRow]]) -> dict[int, Verdict]:
        ids = sorted({row.run_id for _, row in ends})
        locked = {row[0]: row[1:] for row in connection.execute(self.sql["lock_runs"], {"run_ids": ids})}
        verdicts: dict[int, Verdict] = {}
        stored: dict[str, RunEndRow] = {}
        written: list[tuple[RunEndRow, str]] = []
        for i, row in ends:
            organization, node, status, start_time = locked.get(row.run_id, (None, None, None, None))
            if (organization, node) != (row.organization, row.node_name):
                text = f"no run {row.run_id} has started at node {row.node_name} of {row.organization}"
                verdicts[i] = UnknownRun(row.run_id, text)
                continue
            fresh = status == "started" and row.run_id not in stored
            if fresh:
                stored[row.run_id] = row
                written.append((row, start_time))
            elif row.run_id not in stored:
                stored[row.run_id] = self._stored_end(connection, row.run_id)
            differing = {} if fresh else differences(stored[row.run_id], row)
            verdicts[i] = Conflict(differing) if differing else Created(run_path(row), duplicate=not fresh)
        self._insert_ends(connection, written)
        return verdicts

    def _insert_ends(self, connection: Connection, ends: list[tuple[RunEndRow, str]]) -> None:
        if not ends:
            return
        connection.cursor().executemany(
            self.sql["end_run"],
            [row._asdict() | {"updated_res_count": len(row.resources)} for row, _ in ends],
        )
        lines = [(row.run_id, start, *resource) for row, start in ends for resource in row.resources]
        if lines:
            with connection.cursor().copy(self.sql["copy_resources"]) as copy:
                copy.write(copy_text(lines))

    def _stored_end(self, connection: Connection, run_id: str) -> RunEndRow:
        end = connection.execute(self.sql["stored_end"], {"run_id": run_id}).fetchone()
        assert end is not None, "the row is locked"
        resources = connection.execute(self.sql["stored_resources"], {"run_id": run_id})
        return RunEndRow._make((*end, tuple(ResourceRow(*row) for row in resources)))


def _array(values: Iterable[str]) -> str:
    """A PostgreSQL array of canonical ids or times, which have nothing in them to quote."""
    return "{" + ",".join(values) + "}"


def run_path(row: RunStartRow | RunEndRow) -> str:
    """The path a run is read at."""
    return f"/organizations/{row.organization}/reports/nodes/{row.node_name}/runs/{row.run_id}"
