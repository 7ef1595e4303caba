"""Brings a database's schema up, one numbered file after another, each once."""

from __future__ import annotations

from importlib import resources

import psycopg
import tenacity

from consumers.database.errors import translated
from consumers.errors import Misconfigured

_LOCK = 0x1A6E57

_LOCK_WAIT_SECONDS = 1
"""How long a migration waits for a table's lock at a time: behind it in the line stand all the workers."""
_PATIENCE_SECONDS = 300


def available() -> dict[str, str]:
    """Migration name -> SQL text, in the order they run."""
    folder = resources.files("schemas").joinpath("migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".sql"): entry.read_text("utf-8") for entry in files}


def migrate(database_url: str) -> list[str]:
    """Apply what is missing, all of it or none; the names applied. Twenty at once are fine: they take turns.

    Raises StoreUnavailable, or Misconfigured when waiting would not help.
    """
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(psycopg.errors.LockNotAvailable),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        stop=tenacity.stop_after_delay(_PATIENCE_SECONDS),
        reraise=True,
    )
    try:
        return retry(_migrate, database_url)
    except psycopg.Error as error:
        raise translated(error, database_url) from error


def _migrate(database_url: str) -> list[str]:
    with psycopg.connect(database_url, autocommit=False, connect_timeout=10) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_SECONDS}s'".encode())
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row[0] for row in connection.execute("SELECT name FROM schema_migrations")}
        missing = {name: text for name, text in available().items() if name not in done}
        for name, text in missing.items():
            connection.execute(text.encode())
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [name])
    return list(missing)


def require_current(connection: psycopg.Connection) -> None:
    """Raises Misconfigured unless every migration this program knows has been applied."""
    found = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
    done = set()
    if found and found[0]:
        done = {row[0] for row in connection.execute("SELECT name FROM schema_migrations")}
    missing = [name for name in available() if name not in done]
    if missing:
        raise Misconfigured(
            f"the database lacks migration {', '.join(missing)}: run `chef-ingest migrate` against DATABASE_URL"
        )
