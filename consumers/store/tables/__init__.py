"""The tables that rows end in, a module each, found by walking them: what its transaction does, kind by kind.

A module has a `TABLE`: made with the settings, it says by `writes` which kinds it writes and how. Every kind has one
table that writes it, and a table may write several kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol

from consumers.database.connection import Connection
from schemas.kinds import KINDS
from schemas.settings import Settings
from schemas.verdict import Verdict

Write = Callable[[Connection, Sequence[Any]], Sequence[Verdict]]
"""Writes rows of one kind in the transaction that is open; a verdict for each, in their order."""
WriteFew = Callable[[Connection, Sequence[Any], Mapping[str, Any]], list[Verdict] | None]
"""Writes a few rows of one kind in a transaction of its own, and what the ledger counts of them, if anything, which is
given as the statement's parameters; None: nothing was done."""

Prepare = Callable[[Connection, Mapping[str, Sequence[Any]]], None]
"""Told the rows of a batch, by kind, before any of them is written."""


Finish = Callable[
    [Connection, Mapping[str, Sequence[Any]], Mapping[str, Sequence[Verdict]]], Mapping[str, Sequence[Verdict]]
]
"""Told the rows of a batch and what became of them, by kind, when they are written; verdicts on the kinds it writes."""


class TableWriter(Protocol):
    """Writes the kinds of one table, those whose write is None by `finish`. Never raises but what psycopg raises."""

    @property
    def prepare(self) -> Prepare | None: ...

    @property
    def finish(self) -> Finish | None: ...

    @property
    def writes(self) -> Mapping[str, Write | None]: ...

    @property
    def writes_few(self) -> Mapping[str, WriteFew]: ...


def writers(settings: Settings) -> tuple[TableWriter, ...]:
    """A writer for each table. Raises LookupError where a kind has none, or two."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found: list[TableWriter] = [module.TABLE(settings) for module in modules]
    written = sorted(kind for table in found for kind in table.writes)
    stored = sorted(kind.name for kind in KINDS.values() if kind.tables)
    if written != stored:
        raise LookupError(f"the kinds are {stored}, and those that {__name__} writes {written}")
    return tuple(found)


def array(values: Iterable[str]) -> str:
    """A PostgreSQL array of canonical ids or times, which have nothing in them to quote."""
    return "{" + ",".join(values) + "}"
