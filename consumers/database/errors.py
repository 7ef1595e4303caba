"""Whose fault a database error is, by its SQLSTATE, and how it is told."""

from __future__ import annotations

from typing import Literal

import psycopg

from consumers.errors import Misconfigured, StoreUnavailable
from schemas.settings import mask_url

Blame = Literal["outage", "row", "configuration"]

_ROW_CLASSES = ("20", "21", "22", "23", "27", "2F", "38", "39", "44", "54", "P0")
"""What a row's values, and constraints and triggers on them, can bring about."""
_CONFIGURATION_CLASSES = ("42", "3F", "3D", "28", "0A")
_STALE_STATES = ("26000", "42P05")
"""A prepared statement that is not there, or is there already: a pooler gave us another's session."""
_STALE_PLAN = "cached plan must not change result type"
"""0A000: a table has changed since the statement was prepared."""


def blame(error: psycopg.Error) -> Blame:
    """Whose fault a database error is: it decides whether to wait, to set one row aside, or to stop.

    An outage never makes a dead letter: what is no row's fault for sure is one. An error without SQLSTATE is a broken
    connection, unless psycopg itself refused the value.
    """
    state = error.sqlstate
    if state is None:
        return "row" if isinstance(error, psycopg.DataError) else "outage"
    if state in _STALE_STATES or _STALE_PLAN in str(error):
        return "outage"
    if state.startswith(_CONFIGURATION_CLASSES):
        return "configuration"
    return "row" if state.startswith(_ROW_CLASSES) else "outage"


def database_fault(error: psycopg.Error, database_url: str) -> str:
    """A database error in words: the setting that leads to the database, without its password, and what is wrong."""
    state = f"{error.sqlstate} " if error.sqlstate else ""
    return f"DATABASE_URL {mask_url(database_url)}: {state}{error}".strip()


def translated(error: psycopg.Error, database_url: str) -> StoreUnavailable | Misconfigured:
    """A database error that is no row's fault, as what its caller has to do about it."""
    kind = StoreUnavailable if blame(error) == "outage" else Misconfigured
    return kind(database_fault(error, database_url))
