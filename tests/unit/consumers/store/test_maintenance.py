"""What is looked after between batches takes as many steps as it must, and none that messages would notice."""

from __future__ import annotations

import structlog
from hypothesis import given
from hypothesis import strategies as st

from consumers.errors import StoreUnavailable
from consumers.store.maintenance import (
    LEAST_STRETCH,
    MOST_STRETCH,
    PAUSE_SECONDS,
    QUICK_SECONDS,
    SLOW_SECONDS,
    Maintenance,
    stretched,
)


class Kept:
    """A Store with so many seconds of actions to look through, `each` seconds of work a second of them."""

    def __init__(self, seconds: float, each: float) -> None:
        self.left, self._each = seconds, each
        self.now = 0.0
        self.took: list[float] = []
        self.asked: list[float] = []
        self.away = False

    def make_partitions(self) -> list[str]:
        return []

    def fill_partition(self) -> None:
        return None

    def prune_letters(self) -> dict[str, int]:
        return {}

    def sum_drift(self) -> bool:
        return False

    def count_late_runs(self, seconds: float) -> bool:
        self.asked.append(seconds)
        if self.away:
            raise StoreUnavailable("away")
        done = min(seconds, self.left)
        self.left -= done
        self.took.append(done * self._each)
        self.now += done * self._each
        return self.left > 0


def worked(kept: Kept, maintenance: Maintenance | None = None) -> Maintenance:
    """An hour of steps, each when it is due."""
    maintenance = maintenance or Maintenance(kept, structlog.get_logger(), lambda: kept.now)
    until = kept.now + 3600
    while kept.now < until:
        maintenance.step()
        kept.now += PAUSE_SECONDS
    return maintenance


def test_an_hour_in_which_nothing_was_stored_is_a_handful_of_steps() -> None:
    """The first worker of a new database looks through an hour or two of nothing."""
    kept = Kept(7200, 1e-6)
    worked(kept)
    assert kept.left == 0
    assert len(kept.took) <= 12


def test_a_step_of_a_busy_hour_is_no_longer_than_it_was() -> None:
    """Where a quarter of a minute of actions takes long already, a step takes no more."""
    kept = Kept(3600, 0.01)
    worked(kept)
    assert kept.left == 0
    assert set(kept.asked) == {LEAST_STRETCH}


def test_after_an_outage_a_step_is_small_again() -> None:
    """What took too long for the database is not asked for once more."""
    kept = Kept(3600, 1e-6)
    maintenance = worked(kept)
    kept.away = True
    worked(kept, maintenance)
    assert kept.asked[-1] > LEAST_STRETCH
    worked(kept, maintenance)
    assert kept.asked[-1] == LEAST_STRETCH


@given(seconds=st.floats(LEAST_STRETCH, MOST_STRETCH), took=st.floats(0, 100))
def test_a_stretch_grows_while_steps_are_quick_and_shrinks_when_they_are_slow(seconds: float, took: float) -> None:
    """Within its bounds always."""
    found = stretched(seconds, took)
    assert LEAST_STRETCH <= found <= MOST_STRETCH
    assert took >= QUICK_SECONDS or found >= seconds
    assert took <= SLOW_SECONDS or found <= seconds
