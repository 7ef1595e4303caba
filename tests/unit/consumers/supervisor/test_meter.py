"""The rate of the last seconds."""

from __future__ import annotations

from consumers.supervisor.meter import Meter


def test_a_meter_forgets_what_is_older_than_its_window() -> None:
    """The rate is that of the last seconds only."""
    meter = Meter(10.0)
    assert meter.rate(0.0) == 0.0
    meter.add(100, 1.0)
    assert meter.rate(10.0) == 10.0
    meter.add(50, 10.5)
    assert meter.rate(12.0) == 5.0
    assert meter.rate(30.0) == 0.0
