"""A row says its columns once: statements, redaction and comparison take them from there, for any row."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from rooms import ROOT

from consumers.database.statements import filled
from schemas.kinds import KINDS
from schemas.kinds.columns import (
    ENVELOPE,
    KEPT,
    OWNER,
    STATE,
    Extra,
    Integer,
    Json,
    Text,
    Time,
    Uuid,
    columns,
    stored_as,
)
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.validation.fastpath import compile_fastpath
from schemas.validation.redaction import Redaction


class PartRow(NamedTuple):
    place: Annotated[Integer, ENVELOPE]
    seen: Annotated[Json, STATE] | None
    words: Annotated[Text, STATE] | None
    extra: Extra | None


class ToyRow(NamedTuple):
    """A row of no kind there is."""

    id: Uuid
    owner: Annotated[Text, OWNER]
    at: Annotated[Time, KEPT, stored_as("first_at")]
    count: Integer | None
    note: Json
    extra: Extra | None
    parts: tuple[PartRow, ...]


TOY = ToyRow("1", "o", "t", 1, '{"a":1}', None, (PartRow(0, '{"b":1}', "w", None),))


def test_statements_get_the_columns_of_any_row() -> None:
    """Every list of columns that a statement asks for is filled in from the row, in its order."""
    assert filled("({columns ToyRow})", ToyRow) == "(id, owner, first_at, count, note, extra)"
    assert filled("{values PartRow but words place}", PartRow) == "%(seen)s::json, %(extra)s::json"
    assert filled("{changes ToyRow but id owner note extra}", ToyRow) == (
        "first_at = %(at)s::timestamptz, count = %(count)s"
    )
    assert filled("{arrays PartRow but seen}", PartRow) == (
        "%(place)s::integer[], %(words)s::text[], %(extra)s::json[]"
    )
    assert filled("{texts ToyRow t but owner note extra}", ToyRow) == (
        "t.id::text AS id, to_char(t.first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at, "
        "t.count AS count"
    )


@pytest.mark.parametrize("text", ["{columns OtherRow}", "{heaps ToyRow}"])
def test_a_list_that_nobody_can_fill_in_is_refused(text: str) -> None:
    """A slip in a statement is seen when it is loaded, and not by the database."""
    with pytest.raises(ValueError, match=text):
        filled(text, ToyRow)


def test_braces_that_ask_for_nothing_stay() -> None:
    """Other placeholders are none of ours."""
    assert filled("WHERE {where} AND x = '{}'") == "WHERE {where} AND x = '{}'"


def test_a_field_that_says_no_column_is_refused() -> None:
    """A row with a plain type in it has no columns to derive anything from."""

    class Plain(NamedTuple):
        id: str

    with pytest.raises(TypeError, match=r"Plain\.id"):
        columns(Plain)


SECRET = '{"password":"hunter2"}'


@pytest.mark.parametrize(
    "row",
    [
        TOY._replace(note=SECRET),
        TOY._replace(extra=SECRET),
        TOY._replace(parts=(TOY.parts[0]._replace(seen=SECRET),)),
        TOY._replace(parts=(TOY.parts[0], TOY.parts[0]._replace(extra=SECRET))),
    ],
)
def test_a_secret_is_cut_from_every_json_column_of_any_row(row: ToyRow) -> None:
    """Nobody has to remember redaction who adds a column."""
    redaction = Redaction.from_settings(Settings())
    assert redaction is not None
    assert "hunter2" not in str(redaction(row))
    assert redaction(TOY) is TOY


def test_a_sensitive_part_loses_its_states() -> None:
    """What a row calls state is not stored of what calls itself sensitive."""
    redaction = Redaction.from_settings(Settings(redact_sensitive=True))
    assert redaction is not None
    part = PartRow(0, '{"sensitive":true,"c":"hunter2"}', "hunter2", None)
    assert redaction(TOY._replace(parts=(part,))).parts[0] == (0, '"[redacted]"', "[redacted]", None)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"count": None}, {"count"}),
        ({"note": '{ "a": 1 }'}, set()),
        ({"note": '{"a":2}'}, {"note"}),
        ({"extra": '{"x":1}'}, {"x"}),
        ({"at": "later"}, set()),
        ({"owner": "p", "count": 7}, {"owner"}),
        ({"parts": ()}, {"parts"}),
        ({"parts": (PartRow(0, None, "v", '{"y":2}'),)}, {"parts.0.seen", "parts.0.words", "parts.0.y"}),
        ({"parts": (PartRow(0, '{"b":1}', "[redacted]", None),)}, set()),
    ],
)
def test_any_two_rows_can_be_compared(changes: dict[str, Any], fields: set[str]) -> None:
    """Every column counts, `extra` too, but for spelling, what the first one keeps, and what was cut."""
    assert set(differences(TOY, TOY._replace(**changes))) == fields


def test_a_column_may_be_for_one_profile_alone() -> None:
    """A member that one profile's schema names and another's does not has a column, and both have the fast path."""
    narrow = {"properties": {"a": {"type": "string"}, "c": {"type": "object"}}, "required": ["a", "c"]}
    wide = narrow | {"properties": narrow["properties"] | {"b": {"type": "string"}}}  # type: ignore[operator]
    for schema, sent, wanted in (
        (wide, b'{"a":"x","b":"y","c":{}}', ["x", "y", "{}"]),
        (narrow, b'{"a":"x","c":{}}', ["x", None, "{}"]),
        (narrow, b'{"a":"x","b":"y","c":{}}', None),
    ):
        read = compile_fastpath(schema, ["a", "b", "c"], frozenset({"c"}))
        assert read is not None
        assert read(sent) == wanted


SCHEMA = (files("schemas") / "schema.sql").read_text()
TABLES = re.findall(r"CREATE TABLE (\w+) \((.*?)^\)", SCHEMA, re.DOTALL | re.MULTILINE)


STORED = [kind for kind in KINDS.values() if kind.tables]


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.name)
def test_the_schema_has_the_columns_that_a_row_says(kind: Any) -> None:
    """schema.sql is written by hand; of each row it has every column, under its type, and as optional as the row.

    JSON may be held as text, and a table that keeps or merges fills in what was not sent.
    """
    rows = [kind.row, *(each.rows for each in columns(kind.row) if each.rows)]
    described = {
        name: {
            line.split()[0]: line.split(maxsplit=1)[1].rstrip(",")
            for line in body.splitlines()
            if re.match(r"    [a-z]", line)
        }
        for name, body in TABLES
        if name in {table.name for table in kind.tables}
    }
    for row in rows:
        wanted = {each.name: each for each in columns(row) if each.rows is None and each.table is None}
        table = next(found for found in described.values() if wanted.keys() <= found.keys())
        elsewhere = {each.name: each for each in columns(row) if each.table is not None}
        for name, column in (wanted | elsewhere).items():
            said = described[column.table][name] if column.table else table[name]
            assert said.split()[0] in ((column.type, "text") if column.json else (column.type,))
            assert not (column.nullable and "NOT NULL" in said) or column.kept or column.merged


NAMES = {kind.name for kind in STORED}
"""What is never stored has a name that is any word."""
DOORS = {
    "ingest/shim/doors/collector.py",
    "ingest/reads/actions.py",
    "ingest/reads/analytics.py",
    "ingest/reads/own.py",
    "schemas/doors.py",
}
"""What carries kinds by name: the doors, and reads."""
OTHER_WORDS = {"ingest/reference/asyncapi.py"}
"""Where a string is a word of somebody else's format: an operation of AsyncAPI has an `action`."""
SOAK = "ingest/soak/"
"""It plays Chef servers and clients, and says what they say."""


def named_kinds(path: Path, *, strings: bool = True) -> set[str]:
    """The kinds that a file imports, or names in a string."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("schemas.kinds"):
            found |= {*(node.module or "").split("."), *(each.name for each in node.names)} & NAMES
        elif strings and isinstance(node, ast.Constant) and node.value in NAMES:
            found.add(node.value)
    return found


OUTSIDE = [
    path
    for floor in ("schemas", "consumers", "ingest")
    for path in sorted((ROOT / floor).rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(("schemas/kinds/", "consumers/store/tables/", SOAK))
    and str(path.relative_to(ROOT)) not in DOORS
]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_kind_is_named_only_by_its_folder_its_table_and_its_door(path: Path) -> None:
    """Whoever adds a kind has nothing to change where kinds are only carried, judged, counted or shown."""
    assert named_kinds(path, strings=str(path.relative_to(ROOT)) not in OTHER_WORDS) == set()


@pytest.mark.parametrize("path", sorted((ROOT / "schemas" / "kinds").glob("*/*.py")), ids=lambda path: path.parent.name)
def test_a_kind_s_folder_names_no_other_kind(path: Path) -> None:
    """A kind can be read, and taken away, by itself."""
    assert named_kinds(path, strings=False) <= {path.parent.name}
