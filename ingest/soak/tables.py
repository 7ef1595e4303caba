"""Reads what a run does and leaves behind: rows, letters and counts in PostgreSQL, messages waiting in RabbitMQ."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import pika.exceptions
import psycopg
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.broker.connection import connect
from consumers.broker.queues import counts
from consumers.database import statements
from consumers.errors import BrokerUnavailable
from ingest.soak.ledger import Found, Key, digest
from schemas import topology
from schemas.topology import DEAD, DELAY, QUARANTINE

T = TypeVar("T")

QUEUES: Final = (*topology.QUEUES, DEAD, QUARANTINE, DELAY)


CONNECT_SECONDS: Final = 10


class Looking:
    """What somebody sees who asks every few moments: a new connection for each question costs both sides more than the
    question. One that has been lost since is replaced; the question is then asked once more.

    May be used by several threads, one at a time. An URL that is empty is not asked.
    """

    def __init__(self, amqp_url: str = "", database_url: str = "") -> None:
        self._amqp_url, self._database_url = amqp_url, database_url
        self._lock = threading.Lock()
        self._broker: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._database: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def rows(self, sql: str, *values: object) -> list[Any]:
        """What a statement, committed at once, returns; nothing where it returns no rows. Raises psycopg.Error."""

        def ask(connection: psycopg.Connection[Any]) -> list[Any]:
            cursor = connection.execute(sql.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

        with self._lock:
            if self._database is not None:
                try:
                    return ask(self._database)
                except psycopg.OperationalError:
                    if not self._database.closed:
                        raise
                    self._database = None
            self._database = psycopg.connect(
                self._database_url, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None
            )
            return ask(self._database)

    def counts(self, queues: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Queue -> messages ready and consumers. Raises BrokerUnavailable, and ChannelClosedByBroker (pika's) for a
        queue that is not there."""
        named = list(queues)

        def ask(channel: BlockingChannel) -> dict[str, tuple[int, int]]:
            return {queue: counts(channel, queue) for queue in named}

        with self._lock:
            if self._channel is not None and (seen := self._asked(ask, self._channel)) is not None:
                return seen
            self._leave_broker()
            self._broker = connect(self._amqp_url, heartbeat=10, name="chef-ingest soak")
            self._channel = self._broker.channel()
            if (seen := self._asked(ask, self._channel)) is None:
                raise BrokerUnavailable("lost RabbitMQ while looking at its queues")
            return seen

    def close(self) -> None:
        """Leaves both; harmless twice, and who asks afterwards connects again."""
        with self._lock:
            self._leave_broker()
            if self._database is not None:
                self._database.close()
                self._database = None

    def _asked(self, ask: Callable[[BlockingChannel], T], channel: BlockingChannel) -> T | None:
        """The answer; None where the connection is lost."""
        try:
            return ask(channel)
        except pika.exceptions.ChannelClosedByBroker:
            self._leave_broker()
            raise
        except (pika.exceptions.AMQPError, OSError):
            return None

    def _leave_broker(self) -> None:
        broker, self._broker, self._channel = self._broker, None, None
        if broker is not None:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                broker.close()


def read_tables(database_url: str, amqp_url: str = "") -> Found:
    """Everything that is stored, and (with `amqp_url`) how many messages are ready in each queue.

    Unacknowledged messages are not ready: to count every message, stop the consumers first.
    """
    rows: Counter[Key] = Counter()
    marks: dict[Key, str] = {}
    sql = statements.load("ingest.soak", "tables.sql")
    with psycopg.connect(database_url, connect_timeout=10) as connection:
        for kind, id, mark, count in connection.execute(sql["rows"].encode()):
            rows[kind, id] += count
            marks[kind, id] = mark
        letters: Counter[bytes] = Counter()
        twice: set[bytes] = set()
        for payload, count, most in connection.execute(sql["letters"].encode()):
            letters[digest(payload)] = count
            if most > 1:
                twice.add(digest(payload))
        tallied: dict[str, int] = dict(connection.execute(sql["tallies"].encode()).fetchall())
    with Looking(amqp_url) as looking:
        left = waiting(looking) if amqp_url else {}
    return Found(
        rows=rows,
        marks=marks,
        letters=letters,
        twice=twice,
        skipped=tallied.get("during_run", 0),
        repeated=tallied.get("duplicate", 0) + tallied.get("merged", 0),
        waiting=left,
    )


def waiting(looking: Looking) -> dict[str, int]:
    """Queue -> messages ready in it. Raises BrokerUnavailable."""
    return {queue: ready for queue, (ready, _) in looking.counts(QUEUES).items()}


def stored(looking: Looking) -> int:
    """Rows, letters and counts together: a number that grows while anything is still on its way."""
    [[count]] = looking.rows(statements.load("ingest.soak", "tables.sql")["stored"])
    return int(count)
