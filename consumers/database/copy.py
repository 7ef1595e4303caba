"""Sends rows by COPY in PostgreSQL's binary format, in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from consumers.database.binary import packed
from consumers.database.connection import Connection
from schemas.kinds.columns import Column

PIECE_BYTES: Final = 100_000
"""Sent at a time: a batch is never in memory twice, and psycopg cuts what is a little larger."""

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"


def copy_rows(connection: Connection, statement: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """`statement` is a COPY of these columns from STDIN (FORMAT BINARY). Raises psycopg.Error."""
    with connection.cursor().copy(statement.encode()) as copy:
        for piece in pieces(columns, rows):
            copy.write(piece)


def pieces(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Iterator[bytearray]:
    """What a COPY of these rows reads, cut anywhere. Raises psycopg.DataError as `packed`."""
    count, types = len(columns).to_bytes(2, "big"), [each.type for each in columns]
    piece = bytearray(_SIGNATURE)
    for row in rows:
        piece += count
        piece += packed(types, row)
        if len(piece) >= PIECE_BYTES:
            yield piece
            piece = bytearray()
    piece += _END
    yield piece
