"""Prints rows the way that was asked for: a table for people, JSON or NDJSON for scripts; strangers' text as text."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO, cast

import click
from rich.console import Console

from ingest.cli.screen.tables import fitted, whole
from schemas.printable import exact, printable

FORMATS = ("table", "json", "ndjson")
WIDE: Final = "wide"
"""In a command's context: whether all of a table is wanted."""

PIPE_WIDTH = 10_000
"""Columns of something that is no terminal: what reads a pipe wants whole lines."""


class OutputFailed(Exception):
    """Standard output can't be written any more; the message says why, `quiet` that nobody wants to know."""

    def __init__(self, error: OSError | ValueError) -> None:
        super().__init__(f"can't write the output: {getattr(error, 'strerror', None) or error}")
        self.quiet = getattr(error, "errno", None) == errno.EPIPE


class Guarded(io.TextIOBase):
    """A standard stream: nothing steers the terminal through it, nothing is too odd for its encoding.

    `strict` raises OutputFailed where it can't be written; else that is nobody's business. `plain` is the same for
    who escapes by itself (tables, whose colours are escapes of our own).
    """

    def __init__(self, stream: TextIO | None, *, strict: bool, escapes: bool = True) -> None:
        self._stream = stream
        self._strict = strict
        self._escapes = escapes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    @property
    def plain(self) -> Guarded:
        return Guarded(self._stream, strict=self._strict, escapes=False)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str | bytes) -> int:
        # click writes the words of a shell's completion as bytes.
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self._tried(printable(text, lines=True) if self._escapes else text)
        return len(text)

    def flush(self) -> None:
        self._tried("")

    def close(self) -> None:
        """Nothing: the stream is not ours. At its end Python would flush once more, and from 3.13 on say what came."""

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def _tried(self, text: str) -> None:
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if text:
                self._stream.write(text)
            if not text or not self._strict:
                self._stream.flush()
        except (OSError, ValueError) as error:
            if self._strict:
                raise OutputFailed(error) from None


@contextmanager
def guarded() -> Iterator[None]:
    """Standard output and error, guarded; what is left in them is written at the end. Raises OutputFailed."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, Guarded(sys.stdout, strict=True))
    sys.stderr = cast(TextIO, Guarded(sys.stderr, strict=False))
    try:
        try:
            yield
        finally:
            if before[0] is not None:
                sys.stdout.flush()
    except OutputFailed:
        # Python would try once more at its end, and end with another code.
        _forget(before[0])
        raise
    finally:
        sys.stdout, sys.stderr = before


def _forget(stream: TextIO | None) -> None:
    try:
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def print_rows(rows: Sequence[Mapping[str, Any]], output: str, stream: TextIO, columns: Sequence[str] = ()) -> None:
    """Rows with the same keys; `columns` are those a table shows (default: all). JSON has them all.

    A terminal's table fits it, with times as ages; elsewhere, and with --wide, all is there and nothing is cut.
    """
    if output == "json":
        stream.write(json.dumps(list(rows), indent=2, default=_as_text) + "\n")
    elif output == "ndjson":
        stream.writelines(json.dumps(row, default=_as_text) + "\n" for row in rows)
    else:
        _print_table(rows, stream, columns)


def say(line: str) -> None:
    """A line for the person at the terminal, kept out of what a script reads."""
    print(printable(line), file=sys.stderr)


def console(stream: TextIO) -> Console:
    """Where tables and bars go: colours only on a terminal, and not where NO_COLOR is set."""
    file = cast(TextIO, stream.plain) if isinstance(stream, Guarded) else stream
    return Console(file=file, markup=False, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


def _print_table(rows: Sequence[Mapping[str, Any]], stream: TextIO, columns: Sequence[str]) -> None:
    shown = list(columns) or (list(rows[0]) if rows else [])
    context = click.get_current_context(silent=True)
    if not stream.isatty() or (context and context.meta.get(WIDE)):
        stream.write(whole(rows, shown))
        return
    where = console(stream)
    table, hidden = fitted(rows, shown, where.width, datetime.now(UTC))
    where.print(table)
    if hidden and rows:
        say(f"no room for {', '.join(hidden)}: --wide shows all")


def _as_text(value: Any) -> str:
    return exact(value) if isinstance(value, datetime) else str(value)
