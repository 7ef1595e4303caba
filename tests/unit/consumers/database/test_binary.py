"""What a row holds as text is sent in binary form as psycopg's own dumpers send what it means."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
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

from consumers.database.binary import DUMPERS, array, refusing
from consumers.database.errors import blame

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


_COLUMNS = st.sampled_from(sorted(_VALUES)).flatmap(
    lambda type_: st.tuples(st.just(type_), st.lists(st.none() | _VALUES[type_]))
)


def dumped(type_: str, value: Any) -> bytes:
    """A value as psycopg would send it."""
    dumper, read = _DUMPERS[type_]
    return bytes(dumper.dump(read(value)))


@given(_COLUMNS)
def test_what_a_row_holds_is_sent_as_psycopg_sends_what_it_means(column: tuple[str, list[Any]]) -> None:
    """To COPY, value by value, and as an array: the bytes of psycopg's own dumpers, NULL included."""
    type_, values = column
    there = [value for value in values if value is not None]
    assert [bytes(DUMPERS[type_](str).dump(value)) for value in there] == [dumped(type_, value) for value in there]
    sent = array(type_, values)
    fields = [None if value is None else dumped(type_, value) for value in values]
    oid = psycopg.adapters.types[type_].oid
    assert sent[:20] == struct.pack("!iiIii", 1, 1, oid, len(values), 1)
    assert sent[20:] == b"".join(
        struct.pack("!i", -1) if each is None else struct.pack("!i", len(each)) + each for each in fields
    )


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
        array(type_, [value])
    assert blame(refused.value) == "row"
    if type_ not in ("text", "json"):  # psycopg's own, whose copy is refused on the way.
        with pytest.raises(psycopg.DataError), refusing():
            DUMPERS[type_](str).dump(value)
