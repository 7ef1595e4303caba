"""What goes through COPY's binary format is packed as psycopg's own dumpers pack it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.datetime import DatetimeBinaryDumper
from psycopg.types.numeric import Int4BinaryDumper, Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper
from psycopg.types.uuid import UUIDBinaryDumper

from consumers.database.copy import PIECE_BYTES, pieces
from consumers.database.errors import blame
from schemas.kinds.columns import Column

_DUMPERS: Mapping[str, tuple[Any, Callable[[Any], Any]]] = {
    "text": (StrBinaryDumper(str), str),
    "json": (StrBinaryDumper(str), str),
    "uuid": (UUIDBinaryDumper(UUID), UUID),
    "timestamptz": (DatetimeBinaryDumper(datetime), datetime.fromisoformat),
    "integer": (Int4BinaryDumper(int), int),
    "bigint": (Int8BinaryDumper(int), int),
}
_VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "json": st.sampled_from(['{"a":1,"a":2}', '"\\u0000"', "1e999", " [ ] "]),
    "uuid": st.uuids().map(str),
    "timestamptz": st.datetimes(timezones=st.just(UTC)).map(lambda each: each.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
}


def packed(types: Sequence[str], row: Sequence[Any]) -> bytes:
    """A row as psycopg would send it."""
    fields = [struct.pack("!h", len(types))]
    for type_, value in zip(types, row, strict=True):
        dumper, read = _DUMPERS[type_]
        dumped = None if value is None else bytes(dumper.dump(read(value)))
        fields.append(struct.pack("!i", -1) if dumped is None else struct.pack("!i", len(dumped)) + dumped)
    return b"".join(fields)


def stream(types: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """All that COPY reads, as psycopg would send it."""
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"".join(packed(types, row) for row in rows) + b"\xff\xff"


def columns(types: Sequence[str]) -> list[Column]:
    return [Column(type=each) for each in types]


_ROWS = st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=8).flatmap(
    lambda types: st.tuples(st.just(types), st.lists(st.tuples(*(st.none() | _VALUES[each] for each in types))))
)


@given(_ROWS)
def test_rows_are_packed_as_psycopg_packs_them(table: tuple[list[str], list[tuple[Any, ...]]]) -> None:
    """Any rows of any columns give the bytes that psycopg's binary dumpers give, NULL included."""
    types, rows = table
    assert b"".join(pieces(columns(types), rows)) == stream(types, rows)


def test_a_large_batch_is_cut_into_pieces() -> None:
    """No piece is longer than the limit and one row, and together they are the whole."""
    rows = [(f"{number:04}" * 300,) for number in range(1000)]
    cut = list(pieces(columns(["text"]), rows))
    longest = len(packed(["text"], rows[0]))
    assert b"".join(cut) == stream(["text"], rows)
    assert all(PIECE_BYTES <= len(piece) < PIECE_BYTES + longest for piece in cut[1:-1])
    assert len(cut) > 10


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("integer", 2**31),
        ("bigint", -(2**63) - 1),
        ("bigint", 10**30),
        ("text", "half a pair \ud800"),
        ("json", '"\udfff"'),
        ("uuid", "no uuid"),
        ("uuid", "00"),
        ("uuid", "00000000-0000-4000-8000-00000000000000"),
        ("timestamptz", "infinity"),
        ("timestamptz", "2026-02-30T00:00:00Z"),
        ("timestamptz", "10000-01-01T00:00:00Z"),
    ],
)
def test_what_a_column_does_not_take_is_its_row_s_fault(type_: str, value: Any) -> None:
    """As if the server had refused it: one row is set aside, and its batch is stored."""
    with pytest.raises(psycopg.DataError) as refused:
        list(pieces(columns([type_]), [(value,)]))
    assert blame(refused.value) == "row"
