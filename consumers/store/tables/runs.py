"""Tables `runs` and `run_resources`: one row a run, whoever tells of it; what it comes to is `schemas.run_merge`'s."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.database.copy import copy_rows
from consumers.store.tables import Write, WriteFew, array
from schemas.kinds.collector_end import KEPT_STATUSES, CollectedRow, CollectorEndRow
from schemas.kinds.collector_end import KIND as COLLECTOR_END
from schemas.kinds.collector_start import KIND as COLLECTOR_START
from schemas.kinds.collector_start import CollectorStartRow
from schemas.kinds.columns import Row, RowType, Time, Uuid, columns
from schemas.kinds.extra import to_object
from schemas.kinds.kind import location
from schemas.kinds.run_end import KIND as RUN_END
from schemas.kinds.run_end import ResourceRow, RunEndRow
from schemas.kinds.run_start import KIND as RUN_START
from schemas.kinds.run_start import RunStartRow
from schemas.run_merge import COLLECTOR, REPORTS, End, Run, Start, Teller, is_strangers, merge
from schemas.settings import Settings
from schemas.verdict import Conflict, Created, UnknownRun, Verdict


class ResourceKey(NamedTuple):
    """What each row of `run_resources` begins with."""

    run_id: Uuid
    start_time: Time | None


_SQL = statements.lazily(
    "consumers.store.tables", "runs.sql", Start, End, RunEndRow, ResourceKey, ResourceRow, CollectedRow
)


class Telling(NamedTuple):
    """How a kind tells of runs: by which door, whether it makes an unknown run known, and what a row of it tells.

    A time that is guessed and not there is the time at which it is written.
    """

    teller: Teller
    begins: bool
    told: Callable[[Any], Run]


class Runs:
    """Writes what is told of chef-client runs."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._sql = _SQL()
        self._path = location(RUN_START)
        self._keeps_all = settings.collector_keep_resources == "all"
        self._now = now
        self._told: dict[str, list[Run]] = {}
        self._standing: dict[str, _Standing] = {}
        self.writes: Mapping[str, Write] = {kind: partial(self._write, kind) for kind in TELLINGS}
        self.writes_few: Mapping[str, WriteFew] = {}
        self.finish = None

    def prepare(self, connection: Connection, rows: Mapping[str, Sequence[Any]]) -> None:
        """Make the runs known that a batch begins, and lock all that it names, before anything else is written.

        First the new ones, then the others, both in the order of their ids, so that no two workers wait for each
        other.
        """
        self._told = {kind: self._tell(telling, rows[kind]) for kind, telling in TELLINGS.items() if kind in rows}
        begun: dict[str, Start] = {}
        for kind, told in self._told.items():
            if TELLINGS[kind].begins:
                for run in told:
                    begun.setdefault(run.start.run_id, run.start)
        self._standing = self._begin(connection, [begun[run_id] for run_id in sorted(begun)])
        others = sorted({run.start.run_id for told in self._told.values() for run in told} - self._standing.keys())
        if others:
            self._standing |= self._lock(connection, others)

    def _tell(self, telling: Telling, rows: Sequence[Any]) -> list[Run]:
        told = list(map(telling.told, rows))
        if telling.teller == REPORTS:
            return told
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now()))
        return [_timed(run if self._keeps_all else _changed(run), now) for run in told]

    def _begin(self, connection: Connection, starts: Sequence[Start]) -> dict[str, _Standing]:
        """Those that are new."""
        if not starts:
            return {}
        # A column that nobody tells is left out: a shorter array is filled up with NULL.
        told = (each if any(each) else () for each in zip(*starts, strict=True))
        values = dict(zip(Start._fields, map(list, told), strict=True))
        values["start_guessed"] = [start.start_guessed for start in starts]
        fresh = {row[0] for row in connection.execute(self._sql["insert_runs"].encode(), values)}
        begun = [Run(start) for start in starts if start.run_id in fresh]
        return {run.start.run_id: _Standing(run, run, new=True) for run in begun}

    def _lock(self, connection: Connection, ids: Sequence[str]) -> dict[str, _Standing]:
        """Those that are known, as they are stored."""
        found = connection.execute(self._sql["lock_runs"].encode(), {"run_ids": array(ids)}).fetchall()
        ended = [row[0] for row in found if row[-1] != "started"]
        ends: dict[str, End] = {}
        if ended:
            rows = connection.execute(self._sql["stored_ends"].encode(), {"run_ids": array(ended)})
            ends = {row[0]: End._make(row[1:]) for row in rows}
        runs = [Run(Start._make(row[:-1]), ends.get(row[0])) for row in found]
        return {run.start.run_id: _Standing(run, run) for run in runs}

    def _write(self, kind: str, connection: Connection, _rows: Sequence[Any]) -> list[Verdict]:
        """What the rows of one kind that were prepared tell of their runs."""
        verdicts = [self._merge(TELLINGS[kind], connection, told) for told in self._told.pop(kind)]
        self._save(connection, [each for each in self._standing.values() if each.run is not each.stored])
        return verdicts

    def _merge(self, telling: Telling, connection: Connection, told: Run) -> Verdict:
        standing = self._standing.get(told.start.run_id)
        if standing is None or is_strangers(standing.run, told, telling.teller):
            return _not_its(standing.run.start if standing else None, told.start, telling)
        if told.end is not None and telling.teller == REPORTS:
            self._recall(connection, standing)
        known = standing.run
        merged = merge(known, told, telling.teller)
        if merged.differing:
            return Conflict(merged.differing)
        ends = known.end is None and told.end is not None
        # The message that begins a run is found by the time of that: if it is an end, not by its own as well.
        standing.ends |= ends and not standing.new
        fresh, standing.new, standing.run = standing.new or ends, False, merged.run
        differ = merged.run.start.door_mismatch and not known.start.door_mismatch
        said_before = not fresh and merged.run == known
        merges = not fresh and not said_before
        return Created(self._path(told.start), duplicate=said_before, merged=merges, door_mismatch=differ)

    def _recall(self, connection: Connection, standing: _Standing) -> None:
        """The stored end as Reporting told it, to tell a repeated one from another; what two doors told is no one's."""
        run = standing.run
        if run.end is None or run.end.ended_by != REPORTS or run.sent is not None:
            return
        found = connection.execute(self._sql["stored_end"].encode(), {"run_id": run.start.run_id}).fetchone()
        assert found is not None, "the row is locked"
        resources = connection.execute(self._sql["stored_resources"].encode(), {"run_id": run.start.run_id})
        sent = RunEndRow._make((*found, tuple(ResourceRow(*row) for row in resources)))
        standing.run = standing.stored = run._replace(sent=sent)

    def _save(self, connection: Connection, changed: Sequence[_Standing]) -> None:
        """What has changed of these runs; the resources of an end that no longer holds go with it."""
        told = [each for each in changed if each.run.resources is not None]
        ended = [each for each in told if each.stored.end is not None]
        begun = [each for each in changed if each.run.start is not each.stored.start]
        for name, chosen in (
            ("delete_resources", ended),
            ("move_resources", [each for each in begun if each.stored.end is not None and each.moved]),
            ("update_start", begun),
        ):
            self._each(connection, name, [each.start_parameters() for each in chosen])
        ends = [each.end_parameters() for each in changed if each.run.end is not each.stored.end]
        self._each(connection, "update_end", ends)
        for name, form in (("copy_resources", ResourceRow), ("copy_collected", CollectedRow)):
            lines = [line for each in told for line in each.lines(form)]
            if lines:
                copy_rows(connection, self._sql[name], (*columns(ResourceKey), *columns(form)), lines)
        for each in changed:
            each.stored = each.run = each.run._replace(sent=None, resources=None)
            each.ends = False

    def _each(self, connection: Connection, name: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        if parameters:
            connection.cursor().executemany(self._sql[name].encode(), parameters)


@dataclass(slots=True)
class _Standing:
    """A run that is locked: as it is stored, and what it has come to. `new`: no message is counted for it yet."""

    stored: Run
    run: Run
    new: bool = False
    ends: bool = False
    """It ends by a message that is to be counted."""

    @property
    def moved(self) -> bool:
        return self.run.start.start_time != self.stored.start.start_time

    def lines(self, form: RowType) -> Iterator[Row]:
        """Its resources of one form, each behind its key."""
        key = ResourceKey(self.run.start.run_id, self.run.start.start_time)
        return ((*key, *each) for each in self.run.resources or () if isinstance(each, form))

    def start_parameters(self) -> dict[str, Any]:
        """For what is written of its start, and of the resources that lie by it."""
        return self.run.start._asdict() | {"was": self.stored.start.start_time}

    def end_parameters(self) -> dict[str, Any]:
        """For what is written of its end."""
        assert self.run.end is not None, "an end is never taken back"
        return self.run.end._asdict() | {"run_id": self.run.start.run_id, "counted": self.ends}


def _not_its(known: Start | None, start: Start, telling: Telling) -> Verdict:
    if telling.begins:
        text = f"run {start.run_id} belongs to another node"
        names = ("organization", "node_name") if telling.teller == COLLECTOR else ()
        return Conflict(
            {"run_id": text} | {name: text for name in names if getattr(known, name) != getattr(start, name)}
        )
    text = f"no run {start.run_id} has started at node {start.node_name} of {start.organization}"
    return UnknownRun(start.run_id, text)


def _start_told(row: RunStartRow) -> Run:
    return Run(Start(row.run_id, row.organization, row.node_name, row.start_time, False, REPORTS, row.extra))


def _end_told(row: RunEndRow) -> Run:
    """Nothing of its start: of that its own door has told before, or the run is unknown."""
    end = End(
        status=row.status,
        end_time=row.end_time,
        data=row.data,
        ended_by=REPORTS,
        end_start_time=row.start_time,
        run_list=row.run_list,
        expanded_run_list=row.expanded_run_list,
        total_res_count=row.total_res_count,
        updated_res_count=len(row.resources),
        end_extra=row.extra,
    )
    return Run(Start(row.run_id, row.organization, row.node_name, None), end, row, row.resources)


def _collector_start_told(row: CollectorStartRow) -> Run:
    return Run(
        Start(
            row.run_id,
            row.organization,
            row.node_name,
            row.start_time,
            start_guessed=row.start_time is None,
            started_by=COLLECTOR,
            collector_start_extra=row.extra,
            entity_uuid=row.entity_uuid,
            source=row.source,
            chef_server_fqdn=row.chef_server_fqdn,
        )
    )


def collector_end_told(row: CollectorEndRow) -> Run:
    """The start as well, as far as it is told: a client whose run dies early may say nothing else."""
    start = Start(
        row.run_id,
        row.organization,
        row.node_name,
        row.start_time or row.end_time,
        start_guessed=row.start_time is None,
        entity_uuid=row.entity_uuid,
        source=row.source,
        chef_server_fqdn=row.chef_server_fqdn,
        client_version=row.client_version,
    )
    end = End(
        status=row.status,
        end_time=row.end_time or "",
        data="{}" if row.error is None else to_object({"exception": row.error}),
        ended_by=COLLECTOR,
        end_guessed=row.end_time is None,
        end_start_time=row.start_time,
        run_list=row.run_list,
        expanded_run_list=row.expanded_run_list,
        total_res_count=row.total_res_count,
        updated_res_count=len(row.resources),
        resource_counts=row.resource_counts,
        policy_name=row.policy_name,
        policy_group=row.policy_group,
        collector_end_extra=row.extra,
    )
    return Run(start, end, None, row.resources)


def _changed(run: Run) -> Run:
    """Without a row for what has not changed; as many are counted as can be read."""
    if run.end is None:
        return run
    kept = tuple(each for each in run.resources or () if each.status in KEPT_STATUSES)
    return run._replace(resources=kept, end=run.end._replace(updated_res_count=len(kept)))


def _timed(run: Run, now: str) -> Run:
    """With the times that nobody told."""
    start, end = run.start, run.end
    if start.start_time is None:
        run = run._replace(start=start._replace(start_time=now))
    if end is not None and not end.end_time:
        run = run._replace(end=end._replace(end_time=now))
    return run


TELLINGS: Final[Mapping[str, Telling]] = {
    COLLECTOR_START.name: Telling(COLLECTOR, begins=True, told=_collector_start_told),
    RUN_START.name: Telling(REPORTS, begins=True, told=_start_told),
    COLLECTOR_END.name: Telling(COLLECTOR, begins=True, told=collector_end_told),
    RUN_END.name: Telling(REPORTS, begins=False, told=_end_told),
}
"""By kind, in the order in which a batch writes them."""


def known_runs(connection: Connection, run_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Of the runs that a batch names those we know: run id -> organization and node."""
    ids = sorted(set(run_ids))
    if not ids:
        return {}
    found = connection.execute(_SQL()["known_runs"].encode(), {"run_ids": array(ids)})
    return {run_id: (organization, node) for run_id, organization, node in found}


TABLE = Runs
