"""What a worker does for the database, hourly, between batches: partitions ahead, letters kept long enough,
counts that are summed up, and actions that came before their run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from consumers.errors import Misconfigured, StoreUnavailable

EVERY_SECONDS: Final = 3600.0
PAUSE_SECONDS: Final = 0.2
"""Between two steps of one hour's work: messages come first."""

LEAST_STRETCH: Final = 15.0
MOST_STRETCH: Final = 3600.0
"""Seconds of stored actions that one step looks through."""
QUICK_SECONDS: Final = 0.01
SLOW_SECONDS: Final = 0.04


class Maintained(Protocol):
    """The part of a Store that is looked after."""

    def make_partitions(self) -> list[str]: ...

    def fill_partition(self) -> tuple[str, int, bool] | None: ...

    def prune_letters(self) -> Mapping[str, int]: ...

    def sum_drift(self) -> bool: ...

    def count_late_runs(self, seconds: float) -> bool: ...


class Maintenance:
    """One short transaction a step, so that neither messages nor heartbeats wait for it."""

    def __init__(self, store: Maintained, log: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._left: list[Callable[[], bool]] = []
        self._due = float("-inf")
        self._stretch = LEAST_STRETCH

    def step(self) -> None:
        """Do a little of what is due, if something is. Raises nothing that an outage can cause."""
        if self._clock() < self._due:
            return
        if not self._left:
            self._left = [self._partitions, self._default_rows, self._letters, self._drift, self._late_runs]
        if not self._left[0]():
            self._left.pop(0)
        self._due = self._clock() + (PAUSE_SECONDS if self._left else EVERY_SECONDS)

    def _partitions(self) -> bool:
        """Whether there is more to do."""
        try:
            made = self._store.make_partitions()
        except (StoreUnavailable, Misconfigured) as error:
            # The default partition takes what has none; a role that may not create tables can still store.
            self._log.warning("partitions not made", why=str(error), remedy="chef-ingest migrate, as the owner")
            return False
        if made:
            self._log.info("partitions made", partitions=made)
        return False

    def _default_rows(self) -> bool:
        """Months for which rows came too early."""
        try:
            step = self._store.fill_partition()
        except (StoreUnavailable, Misconfigured) as error:
            self._log.warning(
                "partition not filled", why=str(error), remedy="chef-ingest partitions create, as the owner"
            )
            return False
        if step is None:
            return False
        partition, copied, attached = step
        self._log.info("partition filled", partition=partition, rows=copied, attached=attached)
        return True

    def _letters(self) -> bool:
        try:
            pruned = self._store.prune_letters()
        except (StoreUnavailable, Misconfigured) as error:
            self._log.warning("letters not pruned", why=str(error), remedy="chef-ingest doctor names missing rights")
            return False
        if pruned:
            self._log.info("letters pruned", **pruned)
        return bool(pruned)

    def _drift(self) -> bool:
        try:
            return self._store.sum_drift()
        except (StoreUnavailable, Misconfigured) as error:
            self._log.warning("drift not summed up", why=str(error), remedy="chef-ingest doctor names missing rights")
            return False

    def _late_runs(self) -> bool:
        began = self._clock()
        try:
            more = self._store.count_late_runs(self._stretch)
        except (StoreUnavailable, Misconfigured) as error:
            self._stretch = LEAST_STRETCH
            self._log.warning("late runs not counted", why=str(error), remedy="chef-ingest doctor names missing rights")
            return False
        self._stretch = stretched(self._stretch, self._clock() - began)
        return more


def stretched(seconds: float, took: float) -> float:
    """How much the next step looks through, after so many seconds' worth took so long: hours in which little was
    stored are few steps, and one in which much was keeps no message waiting for longer than it must."""
    if took < QUICK_SECONDS:
        return min(MOST_STRETCH, seconds * 2)
    return max(LEAST_STRETCH, seconds / 2) if took > SLOW_SECONDS else seconds
