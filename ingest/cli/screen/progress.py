"""How far a long piece of work is, while it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from ingest.cli.output import console, say

_REPORT_SECONDS: Final = 5.0

T = TypeVar("T")


def progress(work: Iterable[T], total: int | None, doing: str) -> Iterator[T]:
    """The work, with a bar and what is left of its time on a terminal, and a line now and then in a pipe."""
    if sys.stderr.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console(sys.stderr)) as bar:
            yield from bar.track(work, total=total)
        return
    told = time.monotonic()
    for count, each in enumerate(work, 1):
        yield each
        if time.monotonic() - told > _REPORT_SECONDS:
            told = time.monotonic()
            say(f"{doing} {count}" + (f" of {total}" if total else ""))
