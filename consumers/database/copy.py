"""Sends rows by COPY in PostgreSQL's binary format, each value as its column's type says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from psycopg import Cursor
from psycopg.abc import Buffer
from psycopg.copy import LibpqWriter

from consumers.database.binary import DUMPERS, refusing
from consumers.database.connection import Connection
from schemas.kinds.columns import Column

PIECE_BYTES: Final = 90_000
"""Sent at a time: psycopg gives 32 KB, of which each costs it and the server a few system calls, and cuts what is over
128 KB."""


class _Gathering(LibpqWriter):
    """Sends what it is given in larger pieces."""

    def __init__(self, cursor: Cursor[Any]) -> None:
        super().__init__(cursor)
        self._held: list[Buffer] = []
        self._bytes = 0

    def write(self, data: Buffer) -> None:
        self._held.append(data)
        self._bytes += len(data)
        if self._bytes >= PIECE_BYTES:
            self._send()

    def finish(self, exc: BaseException | None = None) -> None:
        if exc is None:
            self._send()
        super().finish(exc)

    def _send(self) -> None:
        piece = b"".join(self._held)
        self._held, self._bytes = [], 0
        if piece:
            super().write(piece)


def copy_rows(connection: Connection, statement: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """`statement` is a COPY of these columns from STDIN (FORMAT BINARY).

    Raises psycopg.Error, of which DataError is a row's fault, as if the server had refused it.
    """
    cursor = connection.cursor()
    for dumper in DUMPERS.values():
        cursor.adapters.register_dumper(None, dumper)
    with cursor.copy(statement.encode(), writer=_Gathering(cursor)) as copy, refusing():
        copy.set_types([DUMPERS[each.type].oid for each in columns])
        write = copy.write_row
        for row in rows:
            write(row)
