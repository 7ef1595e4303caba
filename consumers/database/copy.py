"""Sends rows by COPY in PostgreSQL's binary format, each value as its column's type says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from consumers.database.binary import DUMPERS, refusing
from consumers.database.connection import Connection
from schemas.kinds.columns import Column


def copy_rows(connection: Connection, statement: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """`statement` is a COPY of these columns from STDIN (FORMAT BINARY).

    Raises psycopg.Error, of which DataError is a row's fault, as if the server had refused it.
    """
    cursor = connection.cursor()
    for dumper in DUMPERS.values():
        cursor.adapters.register_dumper(None, dumper)
    with cursor.copy(statement.encode()) as copy, refusing():
        copy.set_types([DUMPERS[each.type].oid for each in columns])
        write = copy.write_row
        for row in rows:
            write(row)
