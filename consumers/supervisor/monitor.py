"""What a supervisor sees around it: how long the queues are, who consumes them, how many letters there are."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import structlog

from consumers.broker.connection import connect
from consumers.broker.queues import look_at_queues
from consumers.database import statements
from consumers.database.connection import Connection, Purpose, session
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.machines.pauses import held, pauses
from consumers.machines.supervisors import supervisors
from consumers.runtime.urls import Urls
from consumers.supervisor.roster import Roster
from schemas.labels import NO_RUN, RUN_STATUSES, LateRun
from schemas.settings import Settings
from schemas.topology import DELAY, QUARANTINE, QUEUES

LOOK_SECONDS: Final = 2.0
DATABASE_SECONDS: Final = 5.0
NODES_SECONDS: Final = 60.0
WORK: Final = QUEUES
"""The queues whose length is the backlog that more workers can do something about."""
UNDERWAY: Final = (*QUEUES, QUARANTINE, DELAY)
"""The queues in which an accepted message may still be on its way."""
_PURPOSE: Final = Purpose("chef-ingest supervisor", statement=10, silence=12)
LEAVE_SECONDS: Final = 2.0
_LEAVING: Final = Purpose("chef-ingest supervisor", statement=1, silence=LEAVE_SECONDS)


@dataclass(frozen=True, slots=True)
class Monitor:
    """Queue -> (messages ready, consumers); letter state -> letters; what could not be seen and why."""

    queues: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    letters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    fullest: int = 0
    """New letters in this hour of the organization that has most."""
    late_runs: Mapping[LateRun, int] = field(default_factory=lambda: MappingProxyType({}))
    """Stored actions whose run became known after them, all that were ever counted."""
    broker_fault: str = ""
    database_fault: str = ""
    seen_at: float = 0.0
    """Of the queues, on the monotonic clock."""
    nodes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """How the latest runs of all nodes stand, as of a minute ago at most."""
    missing: int = 0
    """Nodes that have not been heard of for long."""
    room: int | None = None
    """Connections that the database can still take, 0 when it can't be asked; None: not looked at yet."""
    room_seen_at: float = 0.0
    paused: frozenset[str] = frozenset()
    """Queues that operators hold back on this machine."""
    supervisors: Mapping[bool, int] = field(default_factory=lambda: MappingProxyType({}))
    """How many there are on all machines, of those that have not been heard of for long (True) and of the others."""

    @property
    def backlog(self) -> int:
        """Messages that wait for a worker of this machine."""
        return sum(self.queues.get(name, (0, 0))[0] for name in WORK if name not in self.paused)

    def gauges(self) -> dict[str, int | None]:
        """What a sample of a minute says of all machines; None: not seen."""
        return {
            "backlog": sum(self.queues.get(name, (0, 0))[0] for name in WORK) if self.queues else None,
            "letters": self.letters.get("open") if self.letters else None,
        }


def look_at_letters(database_url: str) -> dict[str, int]:
    """Letter state -> letters, on a connection of its own. Raises StoreUnavailable or Misconfigured."""
    with session(database_url, _PURPOSE) as connection:
        return _letters(connection)


def look_at_database(database_url: str, roster: Roster) -> dict[str, Any]:
    """What a Monitor has of the database; what is to be written there is written, and what is asked is taken.

    Raises StoreUnavailable or Misconfigured.
    """
    with session(database_url, _PURPOSE) as connection:
        roster.exchange(connection)
        [(fullest,)] = connection.execute(_named("fullest")).fetchall()
        [(late, registering)] = connection.execute(_named("late_runs")).fetchall()
        row = connection.execute(_named("room")).fetchone()
        return {
            "letters": _letters(connection),
            "fullest": int(fullest),
            "late_runs": {"registering": registering, "overtaking": late - registering},
            "room": max(0, int(row[0])) if row else 0,
            "paused": frozenset(held(pauses(connection), roster.home.host)),
            "supervisors": Counter(each.stale for each in supervisors(connection)),
        }


def _letters(connection: Connection) -> dict[str, int]:
    found = connection.execute(_named("letters")).fetchall()
    return {"open": 0, "parked": 0} | {str(state): int(count) for state, count in found}


def _named(statement: str) -> bytes:
    return statements.load("consumers.supervisor", "monitor.sql")[statement].encode()


def look_at_nodes(database_url: str, settings: Settings) -> dict[str, Any]:
    """What a Monitor has of nodes: all of them are counted. Raises StoreUnavailable or Misconfigured."""
    values = {"aborted": settings.run_aborted_seconds, "missing": settings.node_missing_seconds}
    with session(database_url, _PURPOSE) as connection:
        [(*counts, missing)] = connection.execute(_named("nodes"), values).fetchall()
    return {"nodes": dict(zip((*RUN_STATUSES, NO_RUN), counts, strict=True)), "missing": missing}


class Lookout:
    """Looks around on a thread of its own, so that a slow server never holds up the supervision."""

    def __init__(self, settings: Settings, roster: Roster, reread: Callable[[], Settings] | None = None) -> None:
        self._roster = roster
        self._hurry = threading.Event()
        self._settings = settings
        self._urls = Urls(settings, reread)
        self._connection: Any = None
        self._stop = threading.Event()
        self._database_at = self._nodes_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self.latest = Monitor()
        """Replaced as a whole at each look."""

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Look now: somebody waits for an answer."""
        self._database_at = float("-inf")
        self._hurry.set()

    def stop(self) -> None:
        """Ask the thread to end, and give it a moment to take our row away."""
        self._stop.set()
        self._hurry.set()
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.latest = self._database(self._queues(self.latest))
            except Exception as error:
                # No thread for a connection, say: what can't be looked at is not seen, and looked at again.
                structlog.get_logger().error("not looked around", why=repr(error))
                self.latest = replace(self.latest, queues={}, broker_fault=repr(error), seen_at=time.monotonic())
            self._hurry.wait(LOOK_SECONDS)
            self._hurry.clear()
        with contextlib.suppress(StoreUnavailable, Misconfigured):
            self._urls.dial("database_url", self._leave)
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def _queues(self, before: Monitor) -> Monitor:
        try:
            if self._connection is None or not self._connection.is_open:
                heartbeat = self._settings.heartbeat_seconds
                self._connection = self._urls.dial(
                    "amqp_url", lambda url: connect(url, heartbeat=heartbeat, name="chef-ingest supervisor")
                )
            queues = look_at_queues(self._connection)
        except (BrokerUnavailable, Misconfigured) as error:
            self._connection = None
            return replace(before, queues={}, broker_fault=str(error), seen_at=time.monotonic())
        return replace(before, queues=queues, broker_fault="", seen_at=time.monotonic())

    def _database(self, before: Monitor) -> Monitor:
        if time.monotonic() - self._database_at < DATABASE_SECONDS:
            return before
        self._database_at = now = time.monotonic()
        try:
            seen = self._urls.dial("database_url", lambda url: look_at_database(url, self._roster))
            if now - self._nodes_at >= NODES_SECONDS:
                self._nodes_at = now
                seen |= self._urls.dial("database_url", lambda url: look_at_nodes(url, self._settings))
            return replace(before, **seen, room_seen_at=now, database_fault="")
        except (StoreUnavailable, Misconfigured) as error:
            return replace(before, letters={}, late_runs={}, database_fault=str(error), room=0)

    def _leave(self, database_url: str) -> None:
        with session(database_url, _LEAVING) as connection:
            self._roster.leave(connection)
