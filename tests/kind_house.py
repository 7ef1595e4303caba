"""A broker, a database and a worker in which every kind's contract is tried."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from click.testing import CliRunner, Result
from kind_examples import before, judge, key_column

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.broker.publisher import publishing
from consumers.database.statements import filled
from consumers.dead_letters.posting import Posting
from consumers.delivery import Committed, Delivery, Judged
from consumers.runtime.failpoints import Failpoint
from consumers.store.store import PostgresStore
from consumers.worker.lanes import main_lane
from consumers.worker.process import Worker
from ingest.cli import main
from ingest.shim.acknowledged import Acknowledged
from schemas.doors import CHEF_EXCHANGE, FOREIGN
from schemas.kinds import KINDS, tables
from schemas.kinds.columns import Row, columns
from schemas.message import Message
from schemas.settings import Settings
from schemas.topology import INGEST_EXCHANGE, QUEUES_BY_KIND, ROUTING_KEYS
from schemas.validation.judge import Judge
from schemas.verdict import Verdict
from tests.patience import LONG

CLOCKS = "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_default = 'now()'"
BASE_TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname <> 'schema_migrations'
"""


class House:
    """All of it; the worker runs while the block does, in a thread of this process."""

    def __init__(self, amqp_url: str, database_url: str, state: Path) -> None:
        self.settings = Settings(amqp_url=amqp_url, database_url=database_url)
        self.state = state
        self._verdicts: queue.Queue[Verdict] = queue.Queue()
        self._worker = Worker(self.settings, main_lane(self.settings), "test", Failpoint(), observe=self._observe)
        self._thread = threading.Thread(target=self._worker.run, daemon=True)
        self._connection = psycopg.connect(database_url, autocommit=True)
        self._tables = [name for (name,) in self.rows(BASE_TABLES)]
        self.store = PostgresStore(self.settings, "test", Failpoint())

    def __enter__(self) -> House:
        connection = connect(self.settings.amqp_url, heartbeat=30, name="test")
        declare(connection)
        connection.close()
        self._publishing = publishing(self.settings.amqp_url, heartbeat=30, name="test")
        self._publisher = self._publishing.__enter__()
        self._thread.start()
        self.store.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()
        self._thread.join(LONG)
        self._publishing.__exit__(None, None, None)
        self.store.close()
        self._connection.close()

    def _observe(self, committed: Committed) -> None:
        for verdict in committed.verdicts:
            self._verdicts.put(verdict)

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """What a query finds."""
        cursor = self._connection.execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Forget every row, and what is counted and not written yet."""
        self._acknowledged = Acknowledged(lambda: self.settings.database_url)
        for table in self._tables:
            self.rows(f"DELETE FROM {table}")

    def deliver(self, messages: Iterable[Message]) -> list[Verdict]:
        """Publish messages of one kind, each by its door; their verdicts, once the worker has acked them."""
        sent = list(messages)
        for message in sent:
            foreign = message.door in FOREIGN
            exchange = CHEF_EXCHANGE if foreign else INGEST_EXCHANGE
            Posting(message, exchange, ROUTING_KEYS[message.kind], {}).publish(self._publisher, {})
            if not foreign:
                self._acknowledged.count(message.door, "confirmed")
        return self.verdicts(len(sent))

    def verdicts(self, count: int) -> list[Verdict]:
        """The worker's next ones."""
        return [self._verdicts.get(timeout=LONG) for _ in range(count)]

    def write_ledger(self) -> None:
        """As a shim does now and then."""

        async def write() -> None:
            async with self._acknowledged.kept():
                await asyncio.sleep(0)

        asyncio.run(write())

    def commit(self, *messages: Message, judged: Judge | None = None) -> list[Verdict]:
        """One batch, by the worker's store alone."""
        judged = judged or judge()
        return self.store.commit(
            [
                Judged(Delivery(each, 1, 1, QUEUES_BY_KIND[each.kind], "ingest", ROUTING_KEYS[each.kind]), judged(each))
                for each in messages
            ]
        )

    def commit_as(self, database_url: str, message: Message) -> list[Verdict]:
        """One message, by the store of another role."""
        own, self.store = self.store, PostgresStore(Settings(database_url=database_url), "test", Failpoint())
        try:
            self.store.connect()
            return self.commit(message)
        finally:
            self.store.close()
            self.store = own

    def prepare(self, *messages: Message) -> None:
        """Store what they need."""
        for each in messages:
            if needed := before(each):
                self.commit(*needed)

    def stored(self, kind: str, key: Any) -> Row | None:
        """The row under a key, as its tables hold it: the kind's first table, and the rows within in another one."""
        row, table = KINDS[kind].row, KINDS[kind].tables[0].name
        column = key_column(kind).name
        found = self.rows(filled(f"SELECT {{texts Row t}} FROM {table} t WHERE t.{column} = %s", Row=row), key)
        if not found:
            return None
        values = list(found[0])
        for at, described in enumerate(columns(row)):
            if described.rows is not None:
                inner, within = described.rows, self._table_of(kind, described.rows)
                order = columns(inner)[0].name
                sql = f"SELECT {{texts Row t}} FROM {within} t WHERE t.{column} = %s ORDER BY t.{order}"
                values.insert(at, tuple(inner(*each) for each in self.rows(filled(sql, Row=inner), key)))
            elif described.table is not None:
                text = f"{described.name}::text" if described.json else described.name
                latest = self.rows(f"SELECT {text} FROM {described.table} WHERE {column} = %s", key)
                values.insert(at, latest[0][0] if latest else None)
        return row(*values)

    def _table_of(self, kind: str, row: Any) -> str:
        """The other table of a kind that has a row's columns."""
        wanted = {column.name for column in columns(row)}
        for table in KINDS[kind].tables[1:]:
            sql = "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            if wanted <= {name for (name,) in self.rows(sql, table.name)}:
                return table.name
        raise LookupError(f"no table of {kind} has the columns {sorted(wanted)}")

    def everything(self, kind: str) -> set[str]:
        """Every row of a kind's tables as text, but for the times at which it was written."""
        found = set()
        counted = {table.counted for each in KINDS.values() for table in each.tables if table.counted}
        for table in KINDS[kind].tables:
            clocks = [name for (name,) in self.rows(CLOCKS, table.name)] + sorted(counted)
            sql = f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table.name} t"
            found |= {f"{table.name} {text}" for (text,) in self.rows(sql, clocks)}
        return found

    def anywhere(self, text: str) -> list[str]:
        """The tables with a row that has a text in it."""
        return [
            table
            for table in self._tables
            if self.rows(f"SELECT 1 FROM {table} AS t WHERE t::text LIKE %s LIMIT 1", f"%{text}%")
        ]

    def letters(self) -> list[tuple[str, dict[str, str]]]:
        """State and details of each letter, oldest first."""
        return self.rows("SELECT state, details FROM dead_letters ORDER BY id")

    @contextmanager
    def refusing(self, kind: str, key: Any) -> Iterator[None]:
        """The database takes no row under a key."""
        table, column = KINDS[kind].tables[0].name, key_column(kind).name
        check = f"CHECK ({column}::text <> '{key}') NOT VALID"
        self.rows(f"ALTER TABLE {table} ADD CONSTRAINT not_this_one {check}")
        try:
            yield
        finally:
            self.rows(f"ALTER TABLE {table} DROP CONSTRAINT not_this_one")

    def command(self, *arguments: str) -> Result:
        """`chef-ingest ARGUMENTS`."""
        urls = {"AMQP_URL": self.settings.amqp_url, "DATABASE_URL": self.settings.database_url}
        env = os.environ | urls | {"INGEST_STATE": str(self.state), "NO_COLOR": "1"}
        return CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)


def rights(kind: str) -> set[str]:
    """`RIGHT on TABLE`, of all that a kind's tables need."""
    shared = tables()
    return {f"{each} on {table.name}" for table in KINDS[kind].tables for each in shared[table.name].rights.split(", ")}
