"""Brings a database's schema up, one numbered file after another, each once."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import psycopg
import tenacity

from consumers.database import statements
from consumers.database.connection import Purpose, session
from consumers.errors import Misconfigured

_LOCK = 0x1A6E57

_LOCK_WAIT_SECONDS = 1
"""How long a migration waits for a table's lock at a time: behind it in the line stand all the workers."""
_PATIENCE_SECONDS = 300
_PURPOSE: Final = Purpose("chef-ingest migrate", connect=10, statement=0, silence=0, idle=0)
"""A migration takes as long as it takes."""


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
        retry=tenacity.retry_if_exception(_locked),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        stop=tenacity.stop_after_delay(_PATIENCE_SECONDS),
        reraise=True,
    )
    return retry(_migrate, database_url)


def _locked(error: BaseException) -> bool:
    return isinstance(error.__cause__, psycopg.errors.LockNotAvailable)


def _migrate(database_url: str) -> list[str]:
    sql = _sql()
    with session(database_url, _PURPOSE) as connection, connection.transaction():
        _require_unicode(connection)
        connection.execute(sql["take_turns"], {"lock": _LOCK})
        connection.execute(sql["lock_timeout"], {"seconds": _LOCK_WAIT_SECONDS})
        done = _done(connection)
        missing = {name: text for name, text in available().items() if name not in done}
        if missing:
            # Only now: whoever has nothing to do needs no right to create.
            connection.execute(sql["create"])
        for name, text in missing.items():
            connection.execute(text.encode())
            connection.execute(sql["note"], {"name": name})
    return list(missing)


def require_current(connection: psycopg.Connection[Any]) -> None:
    """Raises Misconfigured unless every migration this program knows has been applied, to a database in UTF-8."""
    _require_unicode(connection)
    done = _done(connection)
    missing = [name for name in available() if name not in done]
    if missing:
        raise Misconfigured(
            f"the database lacks migration {', '.join(missing)}: run `chef-ingest migrate` against DATABASE_URL"
        )


def _require_unicode(connection: psycopg.Connection[Any]) -> None:
    # In any other encoding there are senders' names that fit neither a row nor the letter that would keep them.
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise Misconfigured(
            f"the database's encoding is {encoding}, which can't hold every name that is sent: make it anew with "
            "ENCODING 'UTF8' (TEMPLATE template0), and run `chef-ingest migrate`"
        )


def _done(connection: psycopg.Connection[Any]) -> set[str]:
    there = connection.execute(_sql()["there"]).fetchone()
    return {row[0] for row in connection.execute(_sql()["done"])} if there and there[0] else set()


def _sql() -> dict[str, bytes]:
    return {name: text.encode() for name, text in statements.load("consumers.database", "migrations.sql").items()}
