"""Tables `runs` and `run_resources`: a run starts once, and only a run that has started ends; how, its ends say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.database.copy import copy_text
from consumers.store.tables import Write, WriteAlone, array
from schemas.kinds.kind import location
from schemas.kinds.run_end import KIND as RUN_END
from schemas.kinds.run_end import ResourceRow, RunEndRow
from schemas.kinds.run_start import KIND as RUN_START
from schemas.kinds.run_start import RunStartRow
from schemas.run_merge import Ending, first, merge
from schemas.settings import Settings
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
        """Run ends, each with its resources; of several of one run one holds, see `schemas.run_merge`."""
        ids = {"run_ids": sorted({row.run_id for row in rows})}
        runs = {row[0]: _Run(*row) for row in connection.execute(self._sql["lock_runs"].encode(), ids)}
        verdicts: list[Verdict] = []
        for row in rows:
            run = runs.get(row.run_id)
            if run is None or (run.organization, run.node_name) != (row.organization, row.node_name):
                text = f"no run {row.run_id} has started at node {row.node_name} of {row.organization}"
                verdicts.append(UnknownRun(row.run_id, text))
            else:
                verdicts.append(self._ended(connection, run, row))
        self._write_ends(connection, [run for run in runs.values() if run.ending != run.stored])
        return verdicts

    def _ended(self, connection: Connection, run: _Run, row: RunEndRow) -> Verdict:
        if run.ending is None and run.status == "started":
            run.ending = first(row)
            return Created(self._path(row))
        if run.ending is None:
            run.ending = run.stored = self._stored_ending(connection, run.run_id)
        run.ending, differing = merge(run.ending, row)
        return Conflict(differing) if differing else Created(self._path(row), duplicate=True)

    def _write_ends(self, connection: Connection, runs: Sequence[_Run]) -> None:
        """What has changed of these runs; the resources of an end that no longer holds go with it."""
        if not runs:
            return
        endings = [(run, run.ending) for run in runs if run.ending is not None]
        connection.cursor().executemany(
            self._sql["end_run"].encode(),
            [
                end._asdict() | {"updated_res_count": len(end.resources), "reboot": reboot}
                for _, (end, reboot) in endings
            ],
        )
        told = [(run, ending.end) for run, ending in endings if run.stored is None or run.stored.end != ending.end]
        replaced = [run.run_id for run, _ in told if run.stored is not None]
        if replaced:
            connection.execute(self._sql["delete_resources"].encode(), {"run_ids": replaced})
        lines = [(run.run_id, run.start_time, *resource) for run, end in told for resource in end.resources]
        if lines:
            with connection.cursor().copy(self._sql["copy_resources"].encode()) as copy:
                copy.write(copy_text(lines))

    def _stored_ending(self, connection: Connection, run_id: str) -> Ending:
        found = connection.execute(self._sql["stored_end"].encode(), {"run_id": run_id}).fetchone()
        assert found is not None, "the row is locked"
        *end, reboot = found
        resources = connection.execute(self._sql["stored_resources"].encode(), {"run_id": run_id})
        return Ending(RunEndRow._make((*end, tuple(ResourceRow(*row) for row in resources))), reboot)


@dataclass(slots=True)
class _Run:
    """A run that is locked: how it stands, how it had ended as far as that was asked for, and how it ends now."""

    run_id: str
    organization: str
    node_name: str
    status: str
    start_time: str
    stored: Ending | None = None
    ending: Ending | None = None


def known_runs(connection: Connection, run_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Of the runs that a batch names those we know: run id -> organization and node."""
    ids = sorted(set(run_ids))
    if not ids:
        return {}
    found = connection.execute(_SQL()["known_runs"].encode(), {"run_ids": array(ids)})
    return {run_id: (organization, node) for run_id, organization, node in found}


TABLE = Runs
