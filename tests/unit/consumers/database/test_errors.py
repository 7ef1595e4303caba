"""Whose fault an error of the database is."""

from __future__ import annotations

import psycopg
import pytest

from consumers.database.errors import blame


@pytest.mark.parametrize(
    ("sqlstate", "whose"),
    [
        ("08006", "outage"), ("53300", "outage"), ("53100", "outage"), ("57P01", "outage"), ("57014", "outage"),
        ("58030", "outage"), ("40001", "outage"), ("40P01", "outage"), ("55P03", "outage"), ("25006", "outage"),
        ("22021", "row"), ("22008", "row"), ("23514", "row"), ("54000", "row"), ("P0001", "row"),
        ("26000", "outage"), ("42P05", "outage"), ("55000", "outage"), ("08P01", "outage"), ("XX000", "outage"),
        ("42P01", "configuration"), ("3F000", "configuration"), ("28P01", "configuration"), ("3D000", "configuration"),
    ],
)  # fmt: skip
def test_sqlstate_says_whose_fault_an_error_is(sqlstate: str, whose: str) -> None:
    """Outages are waited out, rows are set aside, and the rest is for a person."""
    error = psycopg.errors.lookup(sqlstate)() if sqlstate != "53300" else psycopg.errors.TooManyConnections()
    assert error.sqlstate == sqlstate
    assert blame(error) == whose


def test_a_broken_connection_is_an_outage_and_a_value_psycopg_refuses_is_the_rows_fault() -> None:
    """Errors without a SQLSTATE are told apart by their class."""
    assert blame(psycopg.OperationalError("server closed the connection")) == "outage"
    assert blame(psycopg.DataError("cannot contain NUL")) == "row"
