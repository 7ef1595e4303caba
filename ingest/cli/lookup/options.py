"""What commands that look up share: windows of time, pages, and how a page is printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

from consumers.dead_letters.selector import moment
from ingest.cli.options import EXIT_FAILED
from ingest.cli.output import print_rows, say
from ingest.cli.servers import settings_at
from ingest.lookup.database import MOST_ROWS, NotStored, Reader, reading
from ingest.reads.paging import Page, Place, from_cursor, to_cursor
from schemas.settings import Settings

TIME_HELP = "2h, 3d, or 2026-11-22T05:00Z"


def time(_context: click.Context, option: click.Parameter, value: str | None) -> datetime | None:
    """A time, or how long ago."""
    try:
        return None if value is None else moment(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None


def _place(_context: click.Context, option: click.Parameter, value: str | None) -> Place | None:
    try:
        return None if value is None else from_cursor(value)
    except ValueError:
        raise click.BadParameter("take it from the end of the page before", param=option) from None


def window(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `since` and `until`: the last day, unless they say another one."""

    @wraps(command)
    def wrapped(*args: Any, since: datetime | None, until: datetime | None, **kwargs: Any) -> Any:
        until = until or datetime.now(UTC) + timedelta(hours=1)
        return command(*args, since=since or datetime.now(UTC) - timedelta(days=1), until=until, **kwargs)

    for name, words in (("--until", "Before then"), ("--since", "Then or later; default: a day ago")):
        wrapped = click.option(name, callback=time, metavar="TIME", help=f"{words}: {TIME_HELP}.")(wrapped)
    return wrapped


def paged(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `rows` and `after`."""
    command = click.option(
        "--after", callback=_place, metavar="CURSOR", help="What follows a page, by the word at its end."
    )(command)
    return click.option(
        "--limit", "rows", type=click.IntRange(1, MOST_ROWS), default=50, show_default=True, help="So many at most."
    )(command)


@contextmanager
def looking() -> Iterator[tuple[Reader, Settings]]:
    """A reader on the database of this machine's settings; what is not there ends the command with exit code 1."""
    settings = settings_at()
    try:
        with reading(settings) as reader:
            yield reader, settings
    except NotStored as missing:
        say(f"chef-ingest: {missing}")
        sys.exit(EXIT_FAILED)


def print_page(page: Page, output: str, columns: Sequence[str]) -> None:
    """A page's rows, and how to see what follows; exit code 1 for none, so that a script sees it."""
    rows = [{name: value for name, value in each.items() if not name.startswith("place_")} for each in page.rows]
    print_rows(rows, output, sys.stdout, columns)
    if page.last is not None:
        say(f"more: --after {to_cursor(page.last)}")
    if not rows:
        say("nothing matches: try a longer time (--since 7d), or fewer conditions")
        sys.exit(EXIT_FAILED)
