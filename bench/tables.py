"""The database side of a measurement: clean tables before, what was stored after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from bench.corpus import EPOCH, NAMES, SERVER, Corpus
from consumers.database.migrations import migrate

FIRST_MONTH = "2025-12-01"
MONTHS = 14
"""A year before the corpus's month, that month, and one more."""

_TIME = "to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_CELLS = ", ".join(f"coalesce({_TIME if name == 'recorded_at' else f'{name}::text'}, E'\\x1e')" for name in NAMES)
_DIGEST = f"""
SELECT count(*), coalesce(sum(('x' || left(md5(concat_ws(E'\\x1f', {_CELLS})), 15))::bit(60)::bigint), 0),
       count(extra)
FROM actions WHERE service_hostname = %s AND recorded_at >= %s
"""

Connection = psycopg.Connection[tuple[Any, ...]]


def open_database(url: str) -> Connection:
    """A connection that commits each statement."""
    return psycopg.connect(url, autocommit=True)


def prepare(url: str) -> None:
    """The product's own migrations, and the partitions that the corpus needs."""
    migrate(url)
    with open_database(url) as database:
        database.execute("SELECT ingest_make_partitions(%s::date, %s)", [FIRST_MONTH, MONTHS])


def create_database(url: str, name: str) -> str:
    """A further database beside `url`'s; its URL."""
    with open_database(url) as database:
        database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    created = url.rpartition("/")[0] + "/" + name
    prepare(created)
    return created


def empty(url: str) -> None:
    """No rows, and no old dirty pages to be written during somebody's measurement."""
    truncate(url)
    checkpoint(url)


def truncate(url: str) -> None:
    """No rows."""
    with open_database(url) as database:
        database.execute("TRUNCATE actions, action_ids, runs, run_resources, dead_letters, tallies")


def wal_written(database: Connection) -> int:
    """Bytes of WAL so far."""
    return int(_one(database, "SELECT pg_current_wal_insert_lsn() - '0/0'"))


def checkpoint(url: str) -> None:
    """The next change of each page writes all of it to the WAL."""
    with open_database(url) as database:
        database.execute("CHECKPOINT")


def recycle_wal(url: str, segments: int) -> None:
    """So many 16 MB segments are there to be written over. One that has to be made, and filled with zeros, holds up
    the commit that needs it for 35 to 55 ms [measured]; a server that has been up for a while has them."""
    with open_database(url) as database:
        for _ in range(segments):
            database.execute("SELECT pg_logical_emit_message(true, '', '')")
            database.execute("SELECT pg_switch_wal()")
        database.execute("CHECKPOINT")


_BARE = ", ".join(["gen_random_uuid()", *["%s"] * 15, "'bare'", "%s"])


def insert_bare(database: Connection, row: Sequence[str | None]) -> None:
    """One INSERT and its commit: the least that storing an action takes."""
    database.execute(f"INSERT INTO actions ({', '.join(NAMES)}) VALUES ({_BARE})".encode(), [*row[1:16], row[17]])


def forget_bare(url: str) -> None:
    """Before the stored rows are looked at."""
    with open_database(url) as database:
        database.execute("DELETE FROM actions WHERE message_version = 'bare'")


def count_ids(database: Connection) -> int:
    return int(_one(database, "SELECT count(*) FROM action_ids"))


def missing(database: Connection, ids: list[str]) -> list[str]:
    """Those of `ids` that are not committed yet."""
    found = stored(database, ids)
    return [each for each in ids if each not in found]


def stored(database: Connection, ids: list[str]) -> set[str]:
    """Those of `ids` that are committed."""
    found = database.execute("SELECT id::text FROM action_ids WHERE id = ANY (%s::uuid[])", [ids]).fetchall()
    return {row[0] for row in found}


def faults(url: str, corpus: Corpus, start: int, count: int) -> list[str]:
    """What is wrong with the stored rows: how many, what is in them, anything refused. Empty when nothing is."""
    with open_database(url) as database:
        row = database.execute(_DIGEST, [SERVER, EPOCH]).fetchone()
        assert row is not None
        stored, digest, extra = row
        letters = _one(database, "SELECT count(*) FROM dead_letters")
        orphans = _one(database, "SELECT (SELECT count(*) FROM action_ids) - (SELECT count(*) FROM actions)")
    found = []
    if stored != count:
        found.append(f"{stored} rows stored of {count} messages")
    elif int(digest) != corpus.digest(start, count):
        found.append(f"the content of the {stored} rows is not what was sent")
    if extra:
        found.append(f"{extra} rows with unexpected members")
    if letters:
        found.append(f"{letters} dead letters")
    if orphans:
        found.append(f"{orphans} more ids than actions")
    return found


def _one(database: Connection, query: str) -> Any:
    row = database.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
