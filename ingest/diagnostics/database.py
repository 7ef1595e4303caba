"""Looks at a database as the doctor does: version, schema, rights, partitions, clock, settings. Changes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from consumers.database import statements
from consumers.database.connection import Connection, Purpose, session
from consumers.database.migrations import require_current
from consumers.errors import Misconfigured, StoreUnavailable
from consumers.machines.pauses import pauses
from ingest.diagnostics.collector import check_runs
from ingest.diagnostics.finding import Finding
from schemas.kinds import tables
from schemas.settings import Settings

_PURPOSE: Final = Purpose("chef-ingest doctor", statement=10, silence=12)
OLDEST: Final = 140000
SKEW_SECONDS: Final = 5.0
MOST_STRAYS: Final = 100_000
MOST_MONTHS: Final = 6
RIGHTS: Final = "rights"
"""The check of what the role may do."""
NEAR: Final = 0.8
"""Part of a bound from which on it is told, as by the alert."""
SAFETY: Final = {
    "fsync": "a power cut can lose or damage everything",
    "synchronous_commit": "a 201 may be lost in a power cut",
    "full_page_writes": "a power cut can damage pages",
}
"""PostgreSQL's settings that have to be on, and what may come of it where one is off."""
_RIGHTS: Final = {table.name: table.rights for table in tables().values()} | {
    "dead_letters": "SELECT, INSERT, UPDATE, DELETE",
    "letter_counts": "SELECT, INSERT, DELETE",
    "tallies": "SELECT, INSERT",
    "acknowledgements": "SELECT, INSERT",
    "drift": "SELECT, INSERT, UPDATE, DELETE",
    "late_runs": "SELECT, INSERT, UPDATE",
    "supervisors": "SELECT, INSERT, UPDATE, DELETE",
    "pauses": "SELECT, INSERT, DELETE",
    "samples": "SELECT, INSERT, UPDATE, DELETE",
}


def check_database(settings: Settings) -> Iterator[Finding]:
    """Every finding about the database."""
    try:
        with session(settings.database_url, _PURPOSE) as connection:
            yield _version(connection)
            yield from _pooler(connection)
            yield _clock(connection)
            yield from _settings(connection)
            yield from _connections(connection, settings.consumers)
            if connection.info.parameter_status("server_encoding") != "UTF8":
                return
            schema = _schema(connection)
            yield schema
            if schema.level == "ok":
                yield _rights(connection)
                yield from _partitions(connection)
                yield from _letters(connection, settings)
                yield from _pauses(connection)
                yield from check_runs(connection, settings)
    except (StoreUnavailable, Misconfigured) as error:
        yield Finding("database", "broken", str(error), "start PostgreSQL, or correct DATABASE_URL")


def _one(connection: Connection, statement: str, table: str = "", /, **values: object) -> Any:
    rows = _rows(connection, statement, table, **values)
    return rows[0][0] if rows else None


def _rows(connection: Connection, statement: str, table: str = "", column: str = "", /, **values: object) -> list[Any]:
    text = (
        statements.load("ingest.diagnostics", "doctor.sql")[statement]
        .replace("{table}", table)
        .replace("{column}", column)
    )
    return connection.execute(text.encode(), values).fetchall()


def _version(connection: Connection) -> Finding:
    words = f"PostgreSQL {connection.info.parameter_status('server_version')}"
    if connection.info.server_version < OLDEST:
        return Finding("database version", "broken", words, "PostgreSQL 14 or later is needed")
    return Finding("database version", "ok", words)


def _pooler(connection: Connection) -> Iterator[Finding]:
    if connection.pooled:
        text = "a pooler (PgBouncer?) stands before the database: nothing is prepared, and settings are a transaction's"
        yield Finding("pooler", "note", text, "for `dead replay`, name PostgreSQL itself in DATABASE_URL")


def _clock(connection: Connection) -> Finding:
    before = time.time()
    theirs = float(_one(connection, "clock"))
    after = time.time()
    skew = max(theirs - after, before - theirs, 0.0)
    words = f"the database's clock and ours are {skew:.1f} s apart"
    if skew > SKEW_SECONDS:
        return Finding("clock", "warning", words, "run NTP on both: partitions and the ledger go by the clock")
    return Finding("clock", "ok", words)


def _settings(connection: Connection) -> Iterator[Finding]:
    read_only = _one(connection, "read_only")
    if read_only:
        remedy = "point DATABASE_URL at the primary (add target_session_attrs=read-write)"
        yield Finding("database settings", "broken", "the database takes no writes", remedy)
    costly = list(unsafe({name: _one(connection, "setting", name=name) for name in SAFETY}))
    yield from costly
    encoding = _one(connection, "setting", name="server_encoding")
    if encoding != "UTF8":
        remedy = "make the database anew with ENCODING 'UTF8'"
        yield Finding("database settings", "broken", f"the encoding is {encoding}", remedy)
    elif not costly and not read_only:
        yield Finding("database settings", "ok", "writable, durable, UTF8")


def unsafe(values: Mapping[str, str]) -> Iterator[Finding]:
    """From the values of SAFETY's settings: a warning for each that is off. The weaker kinds of on are the owner's."""
    for name, why in SAFETY.items():
        if values[name] == "off":
            remedy = f"set {name} = on where it is off, as pg_settings.source says, and reload"
            yield Finding("database settings", "warning", f"{name} = off: {why}", remedy)


def _connections(connection: Connection, consumers: int) -> Iterator[Finding]:
    most = int(_one(connection, "setting", name="max_connections"))
    used = int(_one(connection, "connections"))
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
        if not _one(connection, "has_right", table=table, right=right)
    ]
    if lacking:
        user = connection.info.user
        remedy = f"GRANT {lacking[0].replace(' on ', ' ON ')} TO {user}, and so on; or let {user} own the tables"
        return Finding(RIGHTS, "broken", f"{user} lacks {', '.join(lacking)}", remedy)
    return Finding(RIGHTS, "ok", "reads and writes every table")


def _partitions(connection: Connection) -> Iterator[Finding]:
    now = datetime.now(UTC)
    following = now.year + now.month // 12, now.month % 12 + 1
    partitioned = {each.name: each.month for each in tables().values() if each.partitioned}
    for table in partitioned:
        # Any worker that starts makes what is missing, and without it nothing is lost: no more than a warning.
        for year, month in ((now.year, now.month), following):
            name = f"{table}_{year}_{month:02}"
            if not _one(connection, "is_partition", name=name):
                words = f"partition {name} is missing: its rows go to the default partition"
                yield Finding("partitions", "warning", words, "chef-ingest partitions create")
    months: Counter[str] = Counter()
    for table, column in partitioned.items():
        months.update(dict(_rows(connection, "strays", table, str(column), most=MOST_STRAYS)))
    if not months:
        yield Finding("partitions", "ok", "nothing lies in the default partition")
        return
    rows = months.total()
    named = ", ".join(f"{month} ({count})" for month, count in sorted(months.items())[:MOST_MONTHS])
    others = f" and {len(months) - MOST_MONTHS} other months" if len(months) > MOST_MONTHS else ""
    text = f"{rows} rows{' or more' if rows >= MOST_STRAYS else ''} lie in default partitions: {named}{others}"
    due = [month for month in months if f"{now:%Y-%m}" <= month <= f"{following[0]}-{following[1]:02}"]
    if due:
        yield Finding("partitions", "warning", text, "chef-ingest partitions create moves those of the months to come")
    else:
        yield Finding("partitions", "note", text, "old or future times: harmless, but dropped more slowly")


def _pauses(connection: Connection) -> Iterator[Finding]:
    for each in pauses(connection):
        yield Finding(
            "pauses", "warning", f"{each.text} (since {each.since.astimezone(UTC):%Y-%m-%d %H:%M}Z)", each.remedy
        )


def _letters(connection: Connection, settings: Settings) -> Iterator[Finding]:
    count, open_letters = _rows(connection, "letters")[0]
    if open_letters:
        yield Finding("letters", "note", f"{open_letters} open dead letters", "chef-ingest dead groups")
    beyond = "beyond that none is kept of what its sender is told"
    most, per_hour = settings.letters_max, settings.letters_per_hour
    if most and count > NEAR * most:
        words = f"{count} dead letters, INGEST_LETTERS_MAX={most}: {beyond}"
        remedy = "settle them (`chef-ingest dead groups`), then `chef-ingest dead prune --yes`; or raise the bound"
        yield Finding("letters", "warning", words, remedy)
    for organization, letters in _rows(connection, "fullest") if per_hour else ():
        if letters > NEAR * per_hour:
            whose = organization or "no organization"
            words = f"{letters} dead letters of {whose} in this hour, INGEST_LETTERS_PER_HOUR={per_hour}: {beyond}"
            yield Finding("letters", "warning", words, "mend what sends them: `chef-ingest dead groups`")
