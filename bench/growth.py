"""Growth: does a table full of a year's actions take new ones as fast as an empty one?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench import cpu, drain, tables
from bench.contenders import BATCH, CONTENDERS, OURS
from bench.corpus import Corpus
from bench.rig import Rig

SECTION = "growth"
WAL = "wal"
ONE_ID = "id"
EMPTY = "into 0 rows"
LOADERS = 2
WARM_UP = 50
"""One row in so many comes after the last preload's checkpoint (each is one of all databases). The first to
touch a page after a checkpoint writes it to the WAL whole: 8 KB for an id of 16 bytes. Under load there are minutes,
and some million messages, from one checkpoint to the next, so nearly all find their page touched already, as they do
here."""

# Short rows: what grows with the table is its indexes, and those hold no data. They were stored when they were
# recorded: of a table full of the last hour's rows all of them would be counted hour by hour as new ones are.
_COLUMNS = (
    "id, recorded_at, organization_name, entity_type, entity_name, task, requestor_type, requestor_name, "
    "remote_hostname, request_id, service_hostname, user_agent, message_type, message_version, data, stored_at"
)
_REST = (
    "'ponyville', 'node', 'old', 'update', 'user', 'rarity', '10.0.0.1', 'g1oAA2QADW5vbm9kZUBub2hvc3Q', "
    "'old.bench.example', 'Chef Knife', 'action', '0.1.1', '{}'"
)
_LOAD_MONTH = f"""
INSERT INTO actions ({_COLUMNS})
SELECT md5(n::text)::uuid, at, {_REST}, at
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n, LATERAL (
    SELECT %(month)s::timestamptz + (n - %(first)s) * (interval '28 days' / (1 + %(last)s - %(first)s)) AS at
) AS made
"""
_METHODS = """
SELECT method FROM pg_settings, unnest(enumvals) AS method
WHERE name = 'wal_compression' AND method IN ('off', 'lz4', 'pglz') ORDER BY method
"""
_TAKE_IDS = "INSERT INTO action_ids (id, recorded_at) SELECT gen_random_uuid(), now() FROM generate_series(1, %s)"
_MONTHS = ("2025-12-01", *(f"2026-{month:02}-01" for month in range(1, 12)))
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'actions'"
_LOAD_IDS = "INSERT INTO action_ids (id, recorded_at) SELECT id, recorded_at FROM actions"
_LOAD_ALL = f"""
WITH taken AS (
    INSERT INTO action_ids (id, recorded_at)
    SELECT md5(n::text)::uuid, %(month)s::timestamptz FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
    RETURNING id, recorded_at
)
INSERT INTO actions ({_COLUMNS}) SELECT id, recorded_at, {_REST}, recorded_at FROM taken
"""


def into(rows: int) -> str:
    return f"into {rows / 1e6:g} M rows"


def after_checkpoint(rows: int) -> str:
    """The worst moment: hardly a page of the index has been written to the WAL since the last checkpoint."""
    return f"{into(rows)}, after a checkpoint"


def section(rig: Rig, rounds: int, count: int, sizes: list[int]) -> None:
    """Drain into an empty table and into each of `sizes`, in turn; each table in a database of its own."""
    grown = {EMPTY: Table(rig, EMPTY, tables.create_database(rig.database_url, "bench_empty"))}
    for size in sizes:
        rig.results.say(f"preloading {size:,} rows over 12 months")
        url = tables.create_database(rig.database_url, f"bench_{size}")
        preload(url, size - size // WARM_UP)
        grown[into(size)] = Table(rig, into(size), url)
    for size in sizes:
        touch(grown[into(size)].url, size)
    for _ in range(rounds):
        for table in grown.values():
            rig.measured(partial(table.grow, count))
    for size in sizes:
        rig.measured(partial(grown[into(size)].grow, count, after_checkpoint(size)))
    for table in grown.values():
        table.verify()
        if table is not grown[EMPTY]:
            table.compress(count)


class Table:
    """A database whose tables grow, and how much they have grown; the empty one is emptied each time."""

    def __init__(self, rig: Rig, name: str, url: str) -> None:
        self._rig = rig
        self._name = name
        self.url = url
        self._corpus = Corpus("mix")
        self._first = 0
        self._grown = 0

    def grow(self, count: int, as_name: str = "") -> None:
        """Drain so many messages into it; under another name than its own, a checkpoint comes first."""
        if self._name == EMPTY:
            tables.truncate(self.url)
            self._first = self._grown
        if as_name:
            tables.checkpoint(self.url)
        drained = drain.drain(self._rig, self.url, CONTENDERS[OURS], self._corpus, self._grown, count, 1)
        self._grown += count
        name = as_name or self._name
        self._rig.results.add(SECTION, name, count / drained.seconds, "msg/s", cpu.each(drained.cpu, count))
        self._rig.results.add(WAL, name, drained.wal / count, "B")

    def verify(self) -> None:
        """Every message is a row."""
        found = tables.faults(self.url, self._corpus, self._first, self._grown - self._first)
        self._rig.results.fault(SECTION, self._name, found)

    def compress(self, count: int) -> None:
        """What so many ids alone cost the database by each way to write pages to the WAL; no actions follow them."""
        with tables.open_database(self.url) as database:
            for (method,) in database.execute(_METHODS).fetchall():
                self._rig.measured(partial(self._take_ids, database, method, count))

    def _take_ids(self, database: tables.Connection, method: str, count: int) -> None:
        database.execute(f"SET wal_compression = {method}".encode())
        database.execute("CHECKPOINT")
        used, wal = cpu.of(database.info.backend_pid), tables.wal_written(database)
        for _ in range(0, count, BATCH):
            database.execute(_TAKE_IDS, [min(BATCH, count)])
        spent = cpu.of(database.info.backend_pid) - used
        each = (tables.wal_written(database) - wal) / count
        name = f"{self._name}, after a checkpoint, wal_compression {method}"
        self._rig.results.add(ONE_ID, name, each, "B", cpu.each({"PostgreSQL": spent}, count))


def preload(url: str, rows: int) -> None:
    """`rows` actions and their ids, a twelfth in each month of the past year, made by the server itself; then a
    checkpoint."""
    shares = [(month, rows * i // 12, rows * (i + 1) // 12 - 1) for i, month in enumerate(_MONTHS)]
    with tables.open_database(url) as database:
        indexes = database.execute(_INDEXES).fetchall()
        database.execute("ALTER TABLE action_ids DROP CONSTRAINT action_ids_pkey")
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}".encode())
    with ThreadPoolExecutor(LOADERS) as loaders:
        list(loaders.map(lambda share: _load(url, *share), shares))
    with tables.open_database(url) as database:
        database.execute("SET synchronous_commit = off; SET maintenance_work_mem = '1GB'")
        database.execute(_LOAD_IDS)
        # Faster at once, at the end, than row by row.
        database.execute("ALTER TABLE action_ids ADD CONSTRAINT action_ids_pkey PRIMARY KEY (id)")
        for _, definition in indexes:
            database.execute(definition.replace(" ON ONLY ", " ON ").encode())
        # Now, so that autovacuum does not come in the middle of a measurement.
        database.execute("VACUUM (ANALYZE) action_ids")
        database.execute(f"VACUUM (ANALYZE) {_partition(_MONTHS[-1])}".encode())
        database.execute("ANALYZE actions")
        database.execute("CHECKPOINT")


def touch(url: str, rows: int) -> None:
    """The last of `rows`, one in WARM_UP, in the last month: nearly every page of the index is changed by them."""
    with tables.open_database(url) as database:
        database.execute(_LOAD_ALL, {"month": _MONTHS[-1], "first": rows - rows // WARM_UP, "last": rows - 1})
        database.execute(f"VACUUM (ANALYZE) {_partition(_MONTHS[-1])}".encode())


def _partition(month: str) -> str:
    return f"actions_{month[:7].replace('-', '_')}"


def _load(url: str, month: str, first: int, last: int) -> None:
    with tables.open_database(url) as database:
        database.execute("SET synchronous_commit = off")
        if month != _MONTHS[-1]:
            # In real life these months have been vacuumed long ago, and nothing touches them any more.
            database.execute(f"ALTER TABLE {_partition(month)} SET (autovacuum_enabled = off)".encode())
        database.execute(_LOAD_MONTH, {"month": month, "first": first, "last": last})
