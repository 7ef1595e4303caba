"""Looks at a database as the doctor does: version, schema, rights, partitions, clock, settings. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from consumers.database.errors import database_fault
from consumers.database.migrations import require_current
from consumers.errors import Misconfigured
from ingest.diagnostics.finding import Finding
from schemas.settings import Settings

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST: Final = 140000
SKEW_SECONDS: Final = 5.0
_RIGHTS: Final = {
    "actions": "SELECT, INSERT",
    "action_ids": "SELECT, INSERT",
    "runs": "SELECT, INSERT, UPDATE",
    "run_resources": "SELECT, INSERT",
    "dead_letters": "SELECT, INSERT, UPDATE",
    "tallies": "SELECT, INSERT",
    "acknowledgements": "SELECT, INSERT",
}


def check_database(settings: Settings) -> Iterator[Finding]:
    """Every finding about the database."""
    try:
        with psycopg.connect(settings.database_url, connect_timeout=5, autocommit=True) as connection:
            yield _version(connection)
            yield _clock(connection)
            yield from _settings(connection)
            yield from _connections(connection, settings.consumers)
            schema = _schema(connection)
            yield schema
            if schema.level == "ok":
                yield _rights(connection)
                yield from _partitions(connection)
                yield from _letters(connection)
    except psycopg.Error as error:
        words = database_fault(error, settings.database_url)
        yield Finding("database", "broken", words, "start PostgreSQL, or correct DATABASE_URL")


def _one(connection: Connection, statement: bytes, *parameters: object) -> Any:
    row = connection.execute(statement, parameters or None).fetchone()
    return row[0] if row else None


def _version(connection: Connection) -> Finding:
    words = f"PostgreSQL {connection.info.parameter_status('server_version')}"
    if connection.info.server_version < OLDEST:
        return Finding("database version", "broken", words, "PostgreSQL 14 or later is needed")
    return Finding("database version", "ok", words)


def _clock(connection: Connection) -> Finding:
    before = time.time()
    theirs = float(_one(connection, b"SELECT extract(epoch FROM clock_timestamp())"))
    after = time.time()
    skew = max(theirs - after, before - theirs, 0.0)
    words = f"the database's clock and ours are {skew:.1f} s apart"
    if skew > SKEW_SECONDS:
        return Finding("clock", "warning", words, "run NTP on both: partitions and the ledger go by the clock")
    return Finding("clock", "ok", words)


def _settings(connection: Connection) -> Iterator[Finding]:
    read_only = _one(
        connection, b"SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
    )
    if read_only:
        remedy = "point DATABASE_URL at the primary (add target_session_attrs=read-write)"
        yield Finding("database settings", "broken", "the database takes no writes", remedy)
    durable = True
    for name, bad, why in (
        ("fsync", "off", "a power cut can lose or damage everything"),
        ("synchronous_commit", "off", "a 201 may be lost in a power cut"),
        ("full_page_writes", "off", "a power cut can damage pages"),
    ):
        value = _one(connection, b"SELECT current_setting(%s)", name)
        if value == bad:
            durable = False
            yield Finding("database settings", "warning", f"{name} = {value}: {why}", f"set {name} = on")
    encoding = _one(connection, b"SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        remedy = "make the database anew with ENCODING 'UTF8'"
        yield Finding("database settings", "broken", f"the encoding is {encoding}", remedy)
    elif durable and not read_only:
        yield Finding("database settings", "ok", "writable, durable, UTF8")


def _connections(connection: Connection, consumers: int) -> Iterator[Finding]:
    most = int(_one(connection, b"SELECT current_setting('max_connections')"))
    # pg_stat_activity would hide other users' sessions from a user without pg_read_all_stats.
    used = int(_one(connection, b"SELECT sum(numbackends) FROM pg_stat_database"))
    words = f"{used} of {most} connections in use"
    if most - used < consumers + 5:
        yield Finding("connections", "warning", words, "raise max_connections, or run fewer consumers")
    else:
        yield Finding("connections", "ok", words)


def _schema(connection: Connection) -> Finding:
    try:
        require_current(connection)
    except Misconfigured as error:
        return Finding("schema", "broken", str(error), "chef-ingest migrate")
    return Finding("schema", "ok", "every migration is applied")


def _rights(connection: Connection) -> Finding:
    lacking = [
        f"{right} on {table}"
        for table, rights in _RIGHTS.items()
        for right in rights.split(", ")
        if not _one(connection, b"SELECT has_table_privilege(%s, %s)", table, right)
    ]
    if lacking:
        user = connection.info.user
        remedy = f"GRANT {lacking[0].replace(' on ', ' ON ')} TO {user}, and so on; or let {user} own the tables"
        return Finding("rights", "broken", f"{user} lacks {', '.join(lacking)}", remedy)
    return Finding("rights", "ok", "reads and writes every table")


def _partitions(connection: Connection) -> Iterator[Finding]:
    now = datetime.now(UTC)
    following = now.year + now.month // 12, now.month % 12 + 1
    for table in ("actions", "run_resources"):
        # Any worker that starts makes what is missing, and without it nothing is lost: no more than a warning.
        for year, month in ((now.year, now.month), following):
            name = f"{table}_{year}_{month:02}"
            if _one(connection, b"SELECT to_regclass(%s)", name) is None:
                words = f"partition {name} is missing: its rows go to the default partition"
                yield Finding("partitions", "warning", words, "chef-ingest partitions create")
    stray = int(_one(connection, b"SELECT count(*) FROM (SELECT FROM actions_default LIMIT 100000) AS sample"))
    if stray:
        text = f"{stray} actions{' or more' if stray == 100000 else ''} lie in the default partition"
        yield Finding("partitions", "note", text, "old or future times: harmless, but dropped more slowly")
    else:
        yield Finding("partitions", "ok", "nothing lies in the default partition")


def _letters(connection: Connection) -> Iterator[Finding]:
    open_letters = int(_one(connection, b"SELECT count(*) FROM dead_letters WHERE state = 'open'"))
    if open_letters:
        yield Finding("letters", "note", f"{open_letters} open dead letters", "chef-ingest dead groups")
