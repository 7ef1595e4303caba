"""The hours that a ledger is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from consumers.ledger.balance import window

HOUR = datetime(2026, 11, 22, 5, tzinfo=UTC)


def test_the_window_of_a_ledger_is_whole_hours() -> None:
    """One hour is this hour."""
    assert window(1, HOUR + timedelta(minutes=59)) == HOUR
    assert window(24, HOUR) == HOUR - timedelta(hours=23)
