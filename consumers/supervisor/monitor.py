"""What a supervisor sees around it: how long the queues are, who consumes them, how many letters there are."""

from __future__ import annotations

import threading
import time
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
from consumers.runtime.urls import Urls
from schemas.labels import LateRun
from schemas.settings import Settings
from schemas.topology import DELAY, QUARANTINE, QUEUES

LOOK_SECONDS: Final = 2.0
DATABASE_SECONDS: Final = 5.0
WORK: Final = QUEUES
"""The queues whose length is the backlog that more workers can do something about."""
UNDERWAY: Final = (*QUEUES, QUARANTINE, DELAY)
"""The queues in which an accepted message may still be on its way."""
_PURPOSE: Final = Purpose("chef-ingest supervisor", statement=10, silence=12)


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
    room: int | None = None
    """Connections that the database can still take, 0 when it can't be asked; None: not looked at yet."""
    room_seen_at: float = 0.0

    @property
    def backlog(self) -> int:
        """Messages that wait for a worker."""
        return sum(self.queues.get(name, (0, 0))[0] for name in WORK)


def look_at_letters(database_url: str) -> dict[str, int]:
    """Letter state -> letters, on a connection of its own. Raises StoreUnavailable or Misconfigured."""
    with session(database_url, _PURPOSE) as connection:
        return _letters(connection)


def look_at_database(database_url: str) -> dict[str, Any]:
    """Fields of a `Monitor`: letters as above, this hour's of the organization that has most, actions before their run,
    and how many more connections the database takes from our user before a limit is reached.

    Raises StoreUnavailable or Misconfigured.
    """
    with session(database_url, _PURPOSE) as connection:
        letters = _letters(connection)
        [(fullest,)] = connection.execute(_named("fullest")).fetchall()
        [(late, registering)] = connection.execute(_named("late_runs")).fetchall()
        row = connection.execute(_named("room")).fetchone()
    late_runs: Mapping[LateRun, int] = {"registering": registering, "overtaking": late - registering}
    room = max(0, int(row[0])) if row else 0
    return {"letters": letters, "fullest": int(fullest), "late_runs": late_runs, "room": room}


def _letters(connection: Connection) -> dict[str, int]:
    found = connection.execute(_named("letters")).fetchall()
    return {"open": 0, "parked": 0} | {str(state): int(count) for state, count in found}


def _named(statement: str) -> bytes:
    return statements.load("consumers.supervisor", "monitor.sql")[statement].encode()


class Lookout:
    """Looks around on a thread of its own, so that a slow server never holds up the supervision."""

    def __init__(self, settings: Settings, reread: Callable[[], Settings] | None = None) -> None:
        self._settings = settings
        self._urls = Urls(settings, reread)
        self._connection: Any = None
        self._stop = threading.Event()
        self._database_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self.latest = Monitor()
        """Replaced as a whole at each look."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.latest = self._database(self._queues(self.latest))
            except Exception as error:
                # No thread for a connection, say: what can't be looked at is not seen, and looked at again.
                structlog.get_logger().error("not looked around", why=repr(error))
                self.latest = replace(self.latest, queues={}, broker_fault=repr(error), seen_at=time.monotonic())
            self._stop.wait(LOOK_SECONDS)
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
            seen = self._urls.dial("database_url", look_at_database)
            return replace(before, **seen, room_seen_at=now, database_fault="")
        except (StoreUnavailable, Misconfigured) as error:
            return replace(before, letters={}, late_runs={}, database_fault=str(error), room=0)
