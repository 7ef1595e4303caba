"""Loads SQL by name from .sql files: `-- name: x` starts a statement that ends with the next name.

The columns of a kind's row are said by its type, and filled in: `{columns ActionRow}` is their names,
`{texts ActionRow a}` each of table `a` as the text that the row holds, `{values ...}` parameters, `{arrays ...}`
parameters that are arrays of a column, and `{changes RunEndRow but run_id}` the assignments of an UPDATE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from schemas.kinds.columns import Column, RowType, columns

_LIST: Final = re.compile(r"\{([a-z]+) ([A-Za-z]+)(?: (?!but)([a-z]+))?(?: but ([a-z_ ]+))?\}")
_STRINGS: Final = frozenset({"text", "integer", "bigint", "boolean"})
"""Types that a parameter takes without being told, and that a row holds as they come."""


def load(package: str, file: str, *rows: RowType, **named: RowType) -> Mapping[str, str]:
    """Name -> SQL of `package`'s file `sql/<file>`, the columns of `rows` filled in; it may name a row otherwise.

    Raises ValueError when a name comes twice, or a list names a row that is not given.
    """
    return parse(filled(resources.files(package).joinpath("sql", file).read_text("utf-8"), *rows, **named))


def lazily(package: str, file: str, *rows: RowType) -> Callable[[], Mapping[str, str]]:
    """What `load` gives, read when it is first asked for."""
    return cache(lambda: load(package, file, *rows))


def filled(text: str, *rows: RowType, **named: RowType) -> str:
    """SQL with the lists of columns that it asks for."""
    types = {row.__name__: row for row in rows} | named

    def fill(found: re.Match[str]) -> str:
        what, name, table, without = found.groups()
        if name not in types or what not in _SPELLINGS:
            raise ValueError(f"{found[0]} can't be filled in: the rows are {sorted(types)}")
        left_out = (without or "").split()
        chosen = [
            each
            for each in columns(types[name])
            if each.rows is None and each.table is None and each.field not in left_out
        ]
        return ", ".join(_SPELLINGS[what](each, table) for each in chosen)

    return _LIST.sub(fill, text)


def _text(column: Column, table: str | None) -> str:
    name = f"{table}.{column.name}" if table else column.name
    if column.within:
        name = f"({name} -> '{column.within}')"
    if column.type == "timestamptz":
        return f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS {column.field}"
    return f"{name}{'' if column.type in _STRINGS else '::text'} AS {column.field}"


def _value(column: Column) -> str:
    return f"%({column.field})s" + ("" if column.type in _STRINGS else f"::{column.type}")


_SPELLINGS: Final[Mapping[str, Callable[[Column, str | None], str]]] = {
    "columns": lambda column, _: column.name,
    "texts": _text,
    "values": lambda column, _: _value(column),
    "arrays": lambda column, _: f"%({column.field})s::{column.type}[]",
    "changes": lambda column, _: f"{column.name} = {_value(column)}",
}


def parse(text: str) -> Mapping[str, str]:
    """Name -> SQL, without comments and the closing semicolon."""
    pieces = re.split(r"^-- name: ([a-z_]+)\n", text, flags=re.MULTILINE)
    names, bodies = pieces[1::2], pieces[2::2]
    if len(set(names)) < len(names):
        raise ValueError(f"a statement is named twice: {sorted(names)}")
    return MappingProxyType({name: _clean(body) for name, body in zip(names, bodies, strict=True)})


def _clean(body: str) -> str:
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
