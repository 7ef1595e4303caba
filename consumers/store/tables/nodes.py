"""Table `nodes`: one row a node, with the latest that a data collector was told; gone when an action deletes it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.store.node_state import NodeState, latest
from consumers.store.tables import Write, WriteFew
from consumers.store.tables.actions import is_node_deletion
from consumers.store.tables.runs import collector_end_told
from schemas.kinds.action import KIND as ACTION
from schemas.kinds.collector_end import KIND as COLLECTOR_END
from schemas.kinds.collector_end import CollectorEndRow
from schemas.kinds.collector_start import KIND as COLLECTOR_START
from schemas.kinds.collector_start import CollectorStartRow
from schemas.kinds.kind import location
from schemas.kinds.node_ping import KIND as NODE_PING
from schemas.kinds.node_ping import LONGEST_NAME, NodePingRow
from schemas.run_merge import is_reboot
from schemas.settings import Settings
from schemas.verdict import Created, Verdict, becomes_letter

_Name = tuple[str, str]
"""Organization and node."""


class Nodes:
    """Writes what is told of nodes: all of a batch at once, in one order, so that no workers wait for each other."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._sql = statements.load("consumers.store.tables", "nodes.sql", NodeState)
        self._path = location(NODE_PING)
        self._now = now
        self.prepare = None
        self.writes: Mapping[str, Write | None] = {NODE_PING.name: None}
        self.writes_few: Mapping[str, WriteFew] = {}

    def finish(
        self, connection: Connection, rows: Mapping[str, Sequence[Any]], said: Mapping[str, Sequence[Verdict]]
    ) -> Mapping[str, Sequence[Verdict]]:
        """What stored rows tell of nodes, and the verdicts on pings."""
        gone = {(row.organization_name, row.entity_name): row.recorded_at for row in _deletions(rows, said)}
        pings = rows.get(NODE_PING.name, ())
        told = list(self._told(rows, said))
        if not (gone or pings or told):
            return {}
        states = self._lock(
            connection, {each[:2] for each in told} | {(row.organization, row.name) for row in pings}, gone
        )
        stored = dict(states)
        for each in told:
            states[each[:2]] = latest(states[each[:2]], each)
        verdicts = [self._ping(states, _pinged(row), row) for row in pings]
        self._save(connection, stored, states, gone)
        return {NODE_PING.name: verdicts} if pings else {}

    def _told(self, rows: Mapping[str, Sequence[Any]], said: Mapping[str, Sequence[Verdict]]) -> Iterator[NodeState]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now()))
        for row in _stored(COLLECTOR_START.name, rows, said):
            yield from _named(_started(row, now))
        for row in _stored(COLLECTOR_END.name, rows, said):
            end = collector_end_told(row).end
            yield from _named(_ended(row, now, end is not None and is_reboot(end)))

    def _lock(self, connection: Connection, names: set[_Name], gone: Mapping[_Name, str]) -> dict[_Name, NodeState]:
        """The states of nodes, new ones made, and of those that are gone if they are there; all of them locked."""
        if names:
            connection.execute(self._sql["insert_nodes"].encode(), _columns(names))
        found = connection.execute(self._sql["lock_nodes"].encode(), _columns(names | gone.keys()))
        return {row[:2]: NodeState(*row) for row in found}

    def _ping(self, states: dict[_Name, NodeState], told: NodeState, row: Any) -> Verdict:
        known = states[told[:2]]
        states[told[:2]] = new = latest(known, told)
        return Created(self._path(row), duplicate=new is known, merged=new is not known)

    def _save(
        self,
        connection: Connection,
        stored: Mapping[_Name, NodeState],
        states: Mapping[_Name, NodeState],
        gone: Mapping[_Name, str],
    ) -> None:
        # What has been seen after it was deleted has come back.
        deleted = [name for name, at in gone.items() if name in states and states[name].seen <= at]
        changed = [state for name, state in states.items() if state is not stored[name] and name not in deleted]
        for sql, parameters in (
            ("update_node", [each._asdict() for each in changed]),
            ("delete_node", [states[name]._asdict() for name in deleted]),
        ):
            if parameters:
                connection.cursor().executemany(self._sql[sql].encode(), parameters)


def _started(row: CollectorStartRow, now: str) -> NodeState:
    """What a run's start tells; `now` stands for a time that it does not tell."""
    time = row.start_time or now
    return NodeState(row.organization, row.node_name, run_id=row.run_id, status="started", start_time=time)


def _ended(row: CollectorEndRow, now: str, reboot: bool) -> NodeState:
    """What a run's end tells."""
    time = row.start_time or row.end_time or now
    return NodeState(
        organization=row.organization,
        name=row.node_name,
        run_id=row.run_id,
        status=row.status,
        reboot=reboot,
        start_time=time,
        end_time=row.end_time or now,
        told_at=time,
        client_version=row.client_version,
        environment=row.environment,
        policy_name=row.policy_name,
        policy_group=row.policy_group,
        run_list=row.run_list,
        node_hash=row.node and hashlib.sha256(row.node.encode()).hexdigest(),
        node=row.node,
    )


def _pinged(row: NodePingRow) -> NodeState:
    """What a ping tells."""
    return NodeState(row.organization, row.name, pinged_at=row.pinged_at, ping_extra=row.extra)


def _deletions(rows: Mapping[str, Sequence[Any]], said: Mapping[str, Sequence[Verdict]]) -> list[Any]:
    """Actions that delete a node: also one posted during a run, which is not stored."""
    if not any(map(is_node_deletion, rows.get(ACTION.name, ()))):
        return []
    found = [row for row in _stored(ACTION.name, rows, said) if is_node_deletion(row) and row.organization_name]
    return sorted(found, key=lambda row: row.recorded_at)


def _stored(kind: str, rows: Mapping[str, Sequence[Any]], said: Mapping[str, Sequence[Verdict]]) -> Iterator[Any]:
    """Rows of a kind whose messages did not become letters."""
    for row, verdict in zip(rows.get(kind, ()), said.get(kind, ()), strict=True):
        if not becomes_letter(verdict):
            yield row


def _named(state: NodeState) -> Iterator[NodeState]:
    if max(len(state.organization), len(state.name)) <= LONGEST_NAME:
        yield state


def _columns(names: set[_Name]) -> dict[str, list[str]]:
    """Names as arrays, in one order for everybody."""
    ordered = sorted(names)
    return {"organizations": [each[0] for each in ordered], "names": [each[1] for each in ordered]}


TABLE = Nodes
