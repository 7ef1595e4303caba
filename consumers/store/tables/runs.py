"""Tables `runs` and `run_resources`: a run starts once, and only a run that has started ends, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.database.copy import copy_text
from consumers.store.tables import Write, WriteAlone, array
from schemas.kinds.kind import location
from schemas.kinds.run_end import KIND as RUN_END
from schemas.kinds.run_end import ResourceRow, RunEndRow
from schemas.kinds.run_start import KIND as RUN_START
from schemas.kinds.run_start import RunStartRow
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.verdict import Conflict, Created, UnknownRun, Verdict

_SQL = statements.lazily("consumers.store.tables", "runs.sql", RunStartRow, RunEndRow, ResourceRow)


class Runs:
    """Writes the starts and the ends of chef-client runs."""

    def __init__(self, settings: Settings) -> None:
        self._sql = _SQL()
        self._path = location(RUN_START)
        self.writes: Mapping[str, Write] = {RUN_START.name: self.start, RUN_END.name: self.end}
        self.writes_alone: Mapping[str, WriteAlone] = {}

    def start(self, connection: Connection, rows: Sequence[RunStartRow]) -> list[Verdict]:
        """Run starts; a run that is there already stays as it is, and another node's is a conflict."""
        first: dict[str, RunStartRow] = {}
        for row in rows:
            first.setdefault(row.run_id, row)
        ours = [first[run_id] for run_id in sorted(first)]
        columns = {name: [getattr(row, name) for row in ours] for name in RunStartRow._fields}
        fresh = {row[0] for row in connection.execute(self._sql["insert_starts"].encode(), columns)}
        known = known_runs(connection, first)
        verdicts: list[Verdict] = []
        for row in rows:
            if known[row.run_id] == (row.organization, row.node_name):
                verdicts.append(Created(self._path(row), duplicate=row.run_id not in fresh))
                fresh.discard(row.run_id)
            else:
                verdicts.append(Conflict({"run_id": f"run {row.run_id} belongs to another node"}))
        return verdicts

    def end(self, connection: Connection, rows: Sequence[RunEndRow]) -> list[Verdict]:
        """Run ends, each with its resources; the first end of a run stays."""
        ids = {"run_ids": sorted({row.run_id for row in rows})}
        locked = {row[0]: row[1:] for row in connection.execute(self._sql["lock_runs"].encode(), ids)}
        verdicts: list[Verdict] = []
        stored: dict[str, RunEndRow] = {}
        written: list[tuple[RunEndRow, str]] = []
        for row in rows:
            organization, node, status, start_time = locked.get(row.run_id, (None, None, None, None))
            if (organization, node) != (row.organization, row.node_name):
                text = f"no run {row.run_id} has started at node {row.node_name} of {row.organization}"
                verdicts.append(UnknownRun(row.run_id, text))
                continue
            fresh = status == "started" and row.run_id not in stored
            if fresh:
                stored[row.run_id] = row
                written.append((row, start_time))
            elif row.run_id not in stored:
                stored[row.run_id] = self._stored_end(connection, row.run_id)
            differing = {} if fresh else differences(stored[row.run_id], row)
            verdicts.append(Conflict(differing) if differing else Created(self._path(row), duplicate=not fresh))
        self._insert_ends(connection, written)
        return verdicts

    def _insert_ends(self, connection: Connection, ends: Sequence[tuple[RunEndRow, str]]) -> None:
        if not ends:
            return
        connection.cursor().executemany(
            self._sql["end_run"].encode(),
            [row._asdict() | {"updated_res_count": len(row.resources)} for row, _ in ends],
        )
        lines = [(row.run_id, start, *resource) for row, start in ends for resource in row.resources]
        if lines:
            with connection.cursor().copy(self._sql["copy_resources"].encode()) as copy:
                copy.write(copy_text(lines))

    def _stored_end(self, connection: Connection, run_id: str) -> RunEndRow:
        end = connection.execute(self._sql["stored_end"].encode(), {"run_id": run_id}).fetchone()
        assert end is not None, "the row is locked"
        resources = connection.execute(self._sql["stored_resources"].encode(), {"run_id": run_id})
        return RunEndRow._make((*end, tuple(ResourceRow(*row) for row in resources)))


def known_runs(connection: Connection, run_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Of the runs that a batch names those we know: run id -> organization and node."""
    ids = sorted(set(run_ids))
    if not ids:
        return {}
    found = connection.execute(_SQL()["known_runs"].encode(), {"run_ids": array(ids)})
    return {run_id: (organization, node) for run_id, organization, node in found}


TABLE = Runs
