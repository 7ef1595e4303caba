"""Prints rows the way that was asked for: a table for people, JSON or NDJSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

FORMATS = ("table", "json", "ndjson")

PIPE_WIDTH = 10_000
"""Columns of something that is no terminal: what reads a pipe wants whole lines."""


def print_rows(rows: Sequence[Mapping[str, Any]], output: str, stream: TextIO, columns: Sequence[str] = ()) -> None:
    """Rows with the same keys; `columns` are those a table shows (default: all). JSON has them all."""
    if output == "json":
        stream.write(json.dumps(list(rows), indent=2, default=str) + "\n")
    elif output == "ndjson":
        stream.writelines(json.dumps(row, default=str) + "\n" for row in rows)
    else:
        _print_table(rows, stream, columns)


def console(stream: TextIO) -> Console:
    """Where tables and bars go: colours only on a terminal, and not where NO_COLOR is set."""
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, markup=False, highlight=False, width=width)


def _print_table(rows: Sequence[Mapping[str, Any]], stream: TextIO, columns: Sequence[str]) -> None:
    shown = list(columns) or (list(rows[0]) if rows else [])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in shown))
    console(stream).print(table)
