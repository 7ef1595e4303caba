"""Sends rows by COPY in PostgreSQL's binary format, each field packed as its column's type says."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import psycopg

from consumers.database.connection import Connection
from schemas.kinds.columns import Column

PIECE_BYTES: Final = 100_000
"""Sent at a time: a batch is never in memory twice, and psycopg cuts what is a little larger."""

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_COUNT: Final = struct.Struct("!h").pack
_LENGTH: Final = struct.Struct("!i").pack
_UUID: Final = struct.Struct("!i16s").pack
_INTEGER: Final = struct.Struct("!ii").pack
_BIGINT: Final = struct.Struct("!iq").pack


def copy_rows(connection: Connection, statement: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """`statement` is a COPY of these columns from STDIN (FORMAT BINARY). Raises psycopg.Error."""
    with connection.cursor().copy(statement.encode()) as copy:
        for piece in pieces(columns, rows):
            copy.write(piece)


def pieces(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Iterator[bytearray]:
    """What a COPY of these rows reads, cut anywhere; None is NULL.

    Raises psycopg.DataError for what no column of its type takes, as the server does for what comes as text.
    """
    count, packs = _COUNT(len(columns)), [_PACKS[column.type] for column in columns]
    piece = bytearray(_SIGNATURE)
    for row in rows:
        piece += count
        try:
            for value, pack in zip(row, packs, strict=True):
                piece += _NULL if value is None else pack(value)
        except (ValueError, struct.error) as error:
            raise psycopg.DataError(str(error)) from error
        if len(piece) >= PIECE_BYTES:
            yield piece
            piece = bytearray()
    piece += _END
    yield piece


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


def _uuid(value: str) -> bytes:
    raw = bytes.fromhex(value.replace("-", ""))
    if len(raw) != 16:
        raise ValueError(f"{value!r} is no UUID")
    return _UUID(16, raw)


@lru_cache(maxsize=4096)
def _time(value: str) -> bytes:
    """Microseconds since 2000. Remembered: messages of one second have the same."""
    return _BIGINT(8, (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1))


def _integer(value: int) -> bytes:
    return _INTEGER(4, value)


def _bigint(value: int) -> bytes:
    return _BIGINT(8, value)


_PACKS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "text": _text,
    "json": _text,
    "uuid": _uuid,
    "timestamptz": _time,
    "integer": _integer,
    "bigint": _bigint,
}
"""By the column's type; a kind whose rows are copied and that has another one fails at its first row."""
