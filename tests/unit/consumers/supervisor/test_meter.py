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


def test_what_was_idle_before_work_began_takes_nothing_from_its_rate() -> None:
    """After a quiet hour the first second's rate is its own, not a tenth of it; a stall counts."""
    meter = Meter(10.0)
    meter.add(0, 3599.0)
    meter.add(1000, 3600.0)
    assert meter.rate(3600.0) == 1000.0
    meter.add(1000, 3601.0)
    assert meter.rate(3601.0) == 1000.0
    assert meter.rate(3603.0) == 500.0
