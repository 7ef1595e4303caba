"""Reads what a run left behind: rows, letters and counts in PostgreSQL, messages waiting in RabbitMQ."""

from __future__ import annotations

from collections import Counter
from typing import Final

import psycopg

from consumers.broker.connection import connect
from consumers.broker.queues import counts
from ingest.soak.ledger import Found, Key, digest
from schemas.topology import ACTIONS, DEAD, DELAY, QUARANTINE, RUNS

QUEUES: Final = (ACTIONS, RUNS, DEAD, QUARANTINE, DELAY)

_ROWS: Final = """
SELECT 'action', id::text, entity_name, count(*) FROM actions GROUP BY 1, 2, 3
UNION ALL SELECT 'run_start', run_id::text, node_name, count(*) FROM runs GROUP BY 1, 2, 3
UNION ALL SELECT 'run_end', run_id::text, node_name, count(*) FROM runs WHERE status <> 'started' GROUP BY 1, 2, 3
UNION ALL SELECT 'resource', run_id::text || '#' || position, '', count(*) FROM run_resources
          GROUP BY 1, 2, 3 HAVING count(*) > 1
"""

_LETTERS: Final = """
SELECT payload, sum(letters)::int, max(letters) FROM (
    SELECT payload, count(*) AS letters FROM dead_letters
    GROUP BY payload, kind, door, organization, node, run_id, exchange, routing_key, content_encoding
) AS messages GROUP BY payload
"""


def read_tables(database_url: str, amqp_url: str = "") -> Found:
    """Everything that is stored, and (with `amqp_url`) how many messages are ready in each queue.

    Unacknowledged messages are not ready: to count every message, stop the consumers first.
    """
    rows: Counter[Key] = Counter()
    marks: dict[Key, str] = {}
    with psycopg.connect(database_url, connect_timeout=10) as connection:
        for kind, id, mark, count in connection.execute(_ROWS.encode()):
            rows[kind, id] += count
            marks[kind, id] = mark
        letters: Counter[bytes] = Counter()
        twice: set[bytes] = set()
        for payload, count, most in connection.execute(_LETTERS.encode()):
            letters[digest(payload)] = count
            if most > 1:
                twice.add(digest(payload))
        tallied: dict[str, int] = dict(
            connection.execute("SELECT outcome, sum(count)::int FROM tallies GROUP BY outcome").fetchall()
        )
    return Found(
        rows=rows,
        marks=marks,
        letters=letters,
        twice=twice,
        skipped=tallied.get("during_run", 0),
        repeated=tallied.get("duplicate", 0),
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
        row = connection.execute(
            "SELECT (SELECT count(*) FROM actions) + (SELECT count(*) FROM runs) + (SELECT count(*) FROM dead_letters)"
            " + (SELECT count(*) FROM runs WHERE status <> 'started') + (SELECT coalesce(sum(count), 0) FROM tallies)"
        ).fetchone()
    return int(row[0]) if row else 0
