"""Tables of kinds whose rows stand by themselves: a key is taken once, and the first content stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.store.tables import Write, WriteFew
from schemas.kinds import KINDS, Kind, Table
from schemas.kinds.columns import Row, columns
from schemas.kinds.kind import location
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.verdict import Conflict, Created, Verdict


class Plain:
    """Writes every kind that has a table with a key, and so needs no module of its own here."""

    def __init__(self, settings: Settings) -> None:
        self.writes: Mapping[str, Write] = {
            kind.name: _Rows(kind, table).write for kind in KINDS.values() for table in kind.tables if table.key
        }
        self.prepare = self.finish = None
        self.writes_few: Mapping[str, WriteFew] = {}


class _Rows:
    """The rows of one such kind."""

    def __init__(self, kind: Kind, table: Table) -> None:
        self._path = location(kind)
        self._fields: Sequence[str] = kind.row._fields
        [key] = [column for column in columns(kind.row) if column.field == table.key]
        self._key_at = self._fields.index(key.field)
        names = {"table": table.name, "key": key.name, "type": key.type}
        sql = statements.load("consumers.store.tables", "plain.sql", Row=kind.row)
        self._insert, self._stored = (sql[name].format(**names).encode() for name in ("insert_rows", "stored_rows"))
        self._make = kind.row._make

    def write(self, connection: Connection, rows: Sequence[Row]) -> list[Verdict]:
        """Those whose key is free; under one that is taken the first row stays."""
        first: dict[Any, Row] = {}
        for row in rows:
            first.setdefault(row[self._key_at], row)
        keys = sorted(first)  # One order for everybody, so that two workers never deadlock.
        values = {name: [first[key][at] for key in keys] for at, name in enumerate(self._fields)}
        fresh = {row[0] for row in connection.execute(self._insert, values)}
        standing = dict(first)
        if taken := [key for key in keys if str(key) not in fresh]:
            found = map(self._make, connection.execute(self._stored, {"keys": taken}))
            standing |= {row[self._key_at]: row for row in found}
        return [self._verdict(row, standing[row[self._key_at]], fresh) for row in rows]

    def _verdict(self, row: Row, stored: Row, fresh: set[str]) -> Verdict:
        if stored is not row and (differing := differences(stored, row)):
            return Conflict(differing)
        key = str(row[self._key_at])
        duplicate = key not in fresh
        fresh.discard(key)
        return Created(self._path(row), duplicate)


TABLE: Final = Plain
