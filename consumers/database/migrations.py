"""Brings a database's schema up, one numbered file after another, each once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from itertools import groupby
from typing import Any, Final

import psycopg
import tenacity

from consumers.database import statements
from consumers.database.connection import Connection, Purpose, session
from consumers.errors import Misconfigured

ALONE: Final = "-- outside a transaction"

_TURN_SECONDS: Final = 0.2
_STATEMENT_END: Final = re.compile(r";$", re.MULTILINE)

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
    """Apply what is missing; the names applied. Twenty at once are fine: they take turns.

    What can be in a transaction is, with its neighbours: all of them or none. A file that begins with ALONE can't be:
    an index that is made while others write. Interrupted, it is begun anew, and so begins with what undoes it.
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
    with _turn(database_url), session(database_url, _PURPOSE) as connection:
        _require_unicode(connection)
        done = _done(connection)
        missing = {name: text for name, text in available().items() if name not in done}
        for alone, group in groupby(missing, key=lambda name: missing[name].startswith(ALONE)):
            apply = _apply_alone if alone else _apply_together
            apply(connection, {name: missing[name] for name in group})
    return list(missing)


@contextmanager
def _turn(database_url: str) -> Iterator[None]:
    """Nobody else migrates meanwhile. A transaction of its own holds the turn: behind a pooler no session could."""
    with session(database_url, _PURPOSE) as holder, holder.transaction():
        while not _is_taken(holder):
            time.sleep(_TURN_SECONDS)
        yield


def _is_taken(holder: Connection) -> bool:
    found = holder.execute(_sql()["take_turns"]).fetchone()
    return found is not None and bool(found[0])


def _apply_together(connection: Connection, group: Mapping[str, str]) -> None:
    """All of these or none."""
    sql = _sql()
    with connection.transaction():
        connection.execute(sql["lock_timeout"], {"seconds": _LOCK_WAIT_SECONDS})
        # Only now: whoever has nothing to do needs no right to create.
        connection.execute(sql["create"])
        for name, text in group.items():
            connection.execute(text.encode())
            connection.execute(sql["note"], {"name": name})


def _apply_alone(connection: Connection, group: Mapping[str, str]) -> None:
    """Statement by statement: what takes no lock for long can't be in a transaction."""
    for name, text in group.items():
        for statement in _STATEMENT_END.split(text.rstrip().removesuffix(";")):
            connection.execute(statement.strip().encode())
        connection.execute(_sql()["note"], {"name": name})


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
