"""Reads of the operator's repository: how many rows there are."""

from __future__ import annotations

import psycopg

from consumers.database.errors import database_fault
from consumers.errors import StoreUnavailable

TABLES = ("actions", "runs", "run_resources", "dead_letters")


def count_rows(database_url: str) -> dict[str, int]:
    """Table -> rows, exactly. Raises StoreUnavailable."""
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            counted = {}
            for table in TABLES:
                row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                counted[table] = row[0] if row else 0
            return counted
    except psycopg.Error as error:
        raise StoreUnavailable(database_fault(error, database_url)) from error
