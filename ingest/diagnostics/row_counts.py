"""How many rows there are, for the demonstration."""

from __future__ import annotations

from consumers.database import statements
from consumers.database.connection import Purpose, session


def count_rows(database_url: str) -> dict[str, int]:
    """Table -> rows, exactly. Raises StoreUnavailable or Misconfigured."""
    counting = statements.load("ingest.diagnostics", "status.sql")["row_counts"]
    with session(database_url, Purpose("chef-ingest demonstration")) as connection:
        return dict(connection.execute(counting.encode()).fetchall())
