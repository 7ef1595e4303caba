"""The worker's three ways to be stopped from outside, and which of them a SQLSTATE means."""

from __future__ import annotations

from typing import Literal

import psycopg


class BrokerUnavailable(Exception):
    """RabbitMQ can't be reached or went away; check AMQP_URL and the broker, the worker keeps trying."""


class StoreUnavailable(Exception):
    """PostgreSQL can't commit now; the batch is held and tried again, nothing is lost."""


class Misconfigured(Exception):
    """The broker or the database is not as we need it, and trying again won't help (exit 78)."""


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
