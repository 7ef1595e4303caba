"""A connection that only reads, whose statements are bounded in time; rows come by name, and page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from consumers.database import statements
from consumers.database.connection import Connection, looking, session
from consumers.errors import StoreUnavailable
from ingest.reads.paging import Page, Place, beginning, cut
from schemas.settings import Settings

NAME: Final = "chef-ingest look"
"""What the server lists such connections under."""
MOST_ROWS: Final = 1000
"""Of one page."""

Row = Mapping[str, Any]


class NotStored(Exception):
    """What is looked up is not there; the message says what, and how to find those that are."""


class Reader:
    """Asks named statements. Made by `reading`, which also translates what the database raises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, file: str, name: str, /, where: str = "true", order: str = "id", **keys: Any) -> list[Row]:
        """All that a statement of ours finds; it bounds itself. `where` is a selector's condition, `order` one of its
        sorts."""
        named = statements.load("ingest.lookup", file)
        text = named[name].replace("{organizations}", named.get("organizations", ""))
        text = text.replace("{where}", where).replace("{order}", order)
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return list(cursor.execute(text.encode(), keys).fetchall())

    def page(self, file: str, name: str, most: int, after: Place | None, **keys: Any) -> Page:
        """So many of what a statement lists, after a place."""
        asked: dict[str, Any] = keys | beginning(after) | {"rows": most + 1}
        return cut(self.rows(file, name, **asked), most)


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """A reader for the block. Raises StoreUnavailable, where a statement took too long too, or Misconfigured."""
    seconds = settings.read_timeout_seconds
    with session(settings.database_url, looking(NAME, seconds)) as connection:
        try:
            yield Reader(connection)
        except psycopg.errors.QueryCanceled as error:
            limit = f"{seconds:g} s (INGEST_READ_TIMEOUT_SECONDS)"
            raise StoreUnavailable(f"this takes PostgreSQL more than {limit}: ask for less of it") from error
