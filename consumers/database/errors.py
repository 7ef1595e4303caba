"""Whose fault a database error is, by its SQLSTATE, and how it is told."""

from __future__ import annotations

from typing import Literal

import psycopg

from consumers.errors import Misconfigured, StoreUnavailable
from schemas.settings import mask_url

Blame = Literal["outage", "row", "configuration"]

_OUTAGE_CLASSES = ("08", "25", "53", "57", "58", "40", "XX")
_OUTAGE_STATES = ("55P03", "55006")
_CONFIGURATION_CLASSES = ("42", "3F", "3D", "28", "0A")


def blame(error: psycopg.Error) -> Blame:
    """Whose fault a database error is: it decides whether to wait, to set one row aside, or to stop.

    An outage never makes a dead letter. An error without SQLSTATE is a broken connection, unless
    psycopg itself refused the value.
    """
    state = error.sqlstate
    if state is None:
        return "row" if isinstance(error, psycopg.DataError) else "outage"
    if state.startswith(_OUTAGE_CLASSES) or state in _OUTAGE_STATES:
        return "outage"
    if state.startswith(_CONFIGURATION_CLASSES):
        return "configuration"
    return "row"


def database_fault(error: psycopg.Error, database_url: str) -> str:
    """A database error in words: the setting that leads to the database, without its password, and what is wrong."""
    state = f"{error.sqlstate} " if error.sqlstate else ""
    return f"DATABASE_URL {mask_url(database_url)}: {state}{error}".strip()


def translated(error: psycopg.Error, database_url: str) -> StoreUnavailable | Misconfigured:
    """A database error that is no row's fault, as what its caller has to do about it."""
    kind = StoreUnavailable if blame(error) == "outage" else Misconfigured
    return kind(database_fault(error, database_url))
