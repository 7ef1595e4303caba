"""What a supervisor sees around it: how long the queues are, who consumes them, how many letters there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import pika.exceptions
import psycopg
from pika.adapters.blocking_connection import BlockingConnection

from consumers.connect import connect
from consumers.declare import counts
from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.settings import Settings, mask_url
from schemas.topology import ACTIONS, DELAY, QUARANTINE, RUNS, TOPOLOGY

LOOK_SECONDS: Final = 2.0
LETTERS_SECONDS: Final = 5.0
WORK: Final = (ACTIONS, RUNS)
"""The queues whose length is the backlog that more workers can do something about."""
UNDERWAY: Final = (ACTIONS, RUNS, QUARANTINE, DELAY)
"""The queues in which an accepted message may still be on its way."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Queue -> (messages ready, consumers); letter state -> letters; what could not be seen and why."""

    queues: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    letters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    broker_fault: str = ""
    database_fault: str = ""
    seen_at: float = 0.0
    """Of the queues, on the monotonic clock."""

    @property
    def backlog(self) -> int:
        """Messages that wait for a worker."""
        return sum(self.queues.get(name, (0, 0))[0] for name in WORK)


def look_at_queues(connection: BlockingConnection) -> dict[str, tuple[int, int]]:
    """Queue -> (ready, consumers), by passive declares, which any queue type answers; a missing queue is left out.

    Raises BrokerUnavailable.
    """
    found = {}
    try:
        for queue in TOPOLOGY.queues:
            # A passive declare of what isn't there closes the channel: one each.
            channel = connection.channel()
            try:
                found[queue.name] = counts(channel, queue.name)
            except pika.exceptions.ChannelClosedByBroker:
                continue
            channel.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
    return found


def look_at_letters(database_url: str) -> dict[str, int]:
    """Letter state -> letters, on a connection of its own. Raises psycopg.Error."""
    options: dict[str, Any] = {"connect_timeout": 5, "options": "-c statement_timeout=10000"}
    with psycopg.connect(database_url, **options) as connection:
        found = connection.execute("SELECT state, count(*) FROM dead_letters GROUP BY state").fetchall()
    return {"open": 0, "parked": 0} | {str(state): int(count) for state, count in found}


class Lookout:
    """Looks around on a thread of its own, so that a slow server never holds up the supervision."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: BlockingConnection | None = None
        self._stop = threading.Event()
        self._letters_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self.latest = Outlook()
        """Replaced as a whole at each look."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.latest = self._letters(self._queues(self.latest))
            self._stop.wait(LOOK_SECONDS)
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def _queues(self, before: Outlook) -> Outlook:
        try:
            if self._connection is None or not self._connection.is_open:
                heartbeat = self._settings.heartbeat_seconds
                self._connection = connect(self._settings.amqp_url, heartbeat=heartbeat, name="chef-ingest supervisor")
            queues = look_at_queues(self._connection)
        except (BrokerUnavailable, Misconfigured) as error:
            self._connection = None
            return replace(before, queues={}, broker_fault=str(error), seen_at=time.monotonic())
        return replace(before, queues=queues, broker_fault="", seen_at=time.monotonic())

    def _letters(self, before: Outlook) -> Outlook:
        if time.monotonic() - self._letters_at < LETTERS_SECONDS:
            return before
        self._letters_at = time.monotonic()
        try:
            return replace(before, letters=look_at_letters(self._settings.database_url), database_fault="")
        except psycopg.Error as error:
            fault = f"DATABASE_URL {mask_url(self._settings.database_url)}: {error}"
            return replace(before, letters={}, database_fault=fault)
