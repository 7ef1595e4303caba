"""What is copied in binary form is in the table as if it had come as text."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.database.connection import Connection, Purpose, connect
from consumers.database.copy import PIECE_BYTES, copy_rows
from consumers.database.errors import blame
from consumers.store.tables.runs import ResourceKey
from schemas.kinds.action import ActionRow
from schemas.kinds.collector_end import CollectedRow
from schemas.kinds.columns import Column, columns
from schemas.kinds.run_end import ResourceRow

_JSON = ['{"a":1,"a":2}', '"\\u0000"', '"\\ud800"', '"\\t\\\\N"', "1e999", " [ ] ", "\t{}\n", "[" * 500 + "]" * 500]
_NO_JSON = ["", "{", "NaN", "'a'", "\x00"]
_NUMBERS = st.integers(-(2**63) - 1, 2**63) | st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 10**30])
_TIMES = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "no time"]

_VALUES = {
    "text": st.text(max_size=20) | st.sampled_from(["\\N", "\\.", "\t\r\n\\", "\x00", "half \ud800", "x" * 200_000]),
    "json": st.sampled_from([*_JSON, *_NO_JSON]) | st.text(max_size=20).map(lambda text: f'"{text}"'),
    "uuid": st.uuids().map(str) | st.sampled_from(["", "no uuid", "00", "0" * 31, "0" * 34]),
    "timestamptz": st.sampled_from(_TIMES) | st.datetimes().map(lambda each: each.isoformat(timespec="seconds") + "Z"),
    "integer": _NUMBERS,
    "bigint": _NUMBERS,
}


class _Form(NamedTuple):
    """Rows that the store copies: their table and their columns."""

    table: str
    columns: tuple[Column, ...]


_FORMS = [
    _Form("actions", columns(ActionRow)),
    _Form("run_resources", (*columns(ResourceKey), *columns(ResourceRow))),
    _Form("run_resources", (*columns(ResourceKey), *columns(CollectedRow))),
]
"""All that the store copies."""


_USUAL = {
    "text": "a\tname", "json": '{"b": [1]}', "uuid": "00000000-0000-4000-8000-0000000000ff",
    "timestamptz": "2026-11-22T03:32:49Z", "integer": 7, "bigint": -7,
}  # fmt: skip


@st.composite
def _row(draw: st.DrawFn, form: _Form) -> tuple[Any, ...]:
    """One value of it is odd: several would be refused for each other."""
    type_ = draw(st.sampled_from(sorted({each.type for each in form.columns})))
    odd = draw(st.sampled_from([each for each in form.columns if each.type == type_]))
    value = draw(st.none() | _VALUES[type_])
    return tuple(value if each is odd else _USUAL[each.type] for each in form.columns)


class _Tables:
    """A session with copies of a form's table, and what COPY leaves there."""

    def __init__(self, connection: Connection, form: _Form) -> None:
        self._connection, self._form = connection, form
        self._names = ", ".join(each.name for each in form.columns)
        connection.execute(f"CREATE TEMP TABLE copied (LIKE {form.table} INCLUDING DEFAULTS)".encode())

    def binary(self, row: tuple[Any, ...]) -> str:
        statement = f"COPY copied ({self._names}) FROM STDIN (FORMAT BINARY)"
        return self._stored(lambda: copy_rows(self._connection, statement, self._form.columns, [row]))

    def text(self, row: tuple[Any, ...]) -> str:
        def write() -> None:
            with self._connection.cursor().copy(f"COPY copied ({self._names}) FROM STDIN".encode()) as copy:
                copy.write_row([None if value is None else str(value) for value in row])

        return self._stored(write)

    def _stored(self, write: Any) -> str:
        try:
            with self._connection.transaction(force_rollback=True):
                write()
                [row] = self._connection.execute(f"SELECT ROW({self._names})::text FROM copied".encode())
                return str(row[0])
        except UnicodeEncodeError:
            return "refused: row"
        except psycopg.Error as error:
            return f"refused: {blame(error)}"


@pytest.mark.parametrize("form", _FORMS, ids=["actions", "resources", "collected"])
def test_a_row_is_stored_as_its_text_would_be(form: _Form, database_url: str) -> None:
    """Whatever the values: the same row, or the same refusal, and that is the row's fault."""
    with connect(database_url, Purpose("a test")) as connection:
        tables = _Tables(connection, form)

        @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
        @given(_row(form))
        def alike(row: tuple[Any, ...]) -> None:
            told = tables.binary(row)
            assert told == tables.text(row)
            assert told == "refused: row" or not told.startswith("refused")

        alike()


@pytest.mark.parametrize("sizes", [[0], [300] * 700, [40_000] * 12, [1, 300_000, 1], [PIECE_BYTES - 100, 200, 7]])
def test_rows_larger_than_a_piece_together_or_alone_are_all_there(sizes: list[int], database_url: str) -> None:
    """None is lost or cut where one piece ends and the next begins."""
    rows = [(number, f"{number:06}" + "é" * size) for number, size in enumerate(sizes)]
    with connect(database_url, Purpose("a test")) as connection:
        connection.execute("CREATE TEMP TABLE sent (number integer, told text)")
        described = [Column(type="integer"), Column(type="text")]
        copy_rows(connection, "COPY sent (number, told) FROM STDIN (FORMAT BINARY)", described, rows)
        assert connection.execute("SELECT number, told FROM sent ORDER BY number").fetchall() == rows
