"""Reads what a run left behind: rows, letters and counts in PostgreSQL, messages waiting in RabbitMQ."""

from __future__ import annotations

from collections import Counter
from typing import Final

import psycopg

from consumers.broker.connection import connect
from consumers.broker.queues import counts
from consumers.database import statements
from ingest.soak.ledger import Found, Key, digest
from schemas import topology
from schemas.topology import DEAD, DELAY, QUARANTINE

QUEUES: Final = (*topology.QUEUES, DEAD, QUARANTINE, DELAY)


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
    return Found(
        rows=rows,
        marks=marks,
        letters=letters,
        twice=twice,
        skipped=tallied.get("during_run", 0),
        repeated=tallied.get("duplicate", 0) + tallied.get("merged", 0),
        waiting=waiting(amqp_url) if amqp_url else {},
    )


def waiting(amqp_url: str) -> dict[str, int]:
    """Queue -> messages ready in it. Raises BrokerUnavailable."""
    connection = connect(amqp_url, heartbeat=10, name="chef-ingest ledger")
    try:
        channel = connection.channel()
        return {queue: counts(channel, queue)[0] for queue in QUEUES}
    finally:
        connection.close()


def stored(database_url: str) -> int:
    """Rows, letters and counts together: a number that grows while anything is still on its way."""
    with psycopg.connect(database_url, connect_timeout=10) as connection:
        stored = statements.load("ingest.soak", "tables.sql")["stored"]
        row = connection.execute(stored.encode()).fetchone()
    return int(row[0]) if row else 0
