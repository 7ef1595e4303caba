"""Decides how many workers a backlog wants: pure, told the time, slow to take away."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

UP_SECONDS = 4.0
"""How long more workers must be wanted before they come: one full batch is no backlog."""
DOWN_SECONDS = 30.0
"""How long fewer must be enough before one goes."""
MARGIN = 0.7
"""Fewer are enough only when they would drain within this part of the target."""
SMOOTHING = 0.3
"""Weight of the newest measurement of the drain rate."""

SPARE = 2
"""Connections left for short work: what makes partitions, a worker that takes another one's place."""


@dataclass(frozen=True, slots=True)
class Band:
    """Between `least` and `most` workers, so that a backlog drains within `target_seconds`."""

    least: int
    most: int
    target_seconds: float

    @classmethod
    def parse(cls, text: str, target_seconds: float) -> Band:
        """From `MIN..MAX`. Raises ValueError."""
        found = re.fullmatch(r"([0-9]{1,4})\.\.([0-9]{1,4})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"{text!r} is not MIN..MAX, as in 1..8")
        return cls(int(found[1]), int(found[2]), target_seconds)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen at `now`: messages waiting, how fast they are committed (a second, by the whole pool),
    how many workers consume, and whether any of them is held up by an outage."""

    now: float
    backlog: int
    rate: float
    consuming: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What must be remembered between decisions: the smoothed rate of one busy worker, since when more have
    been wanted, and since when fewer."""

    worker_rate: float | None = None
    more_since: float | None = None
    fewer_since: float | None = None


def decide(band: Band, sight: Sight, wanted: int, memory: Memory) -> tuple[int, Memory]:
    """How many workers should run, and what to remember. Always within the band.

    Up, to what the backlog needs but at most doubling, once it has needed more for a while; down, one at a time,
    once fewer have been enough, with a margin, for longer. Nothing changes while an outage holds workers up:
    more of them would not end it.
    """
    current = min(max(wanted, band.least), band.most)
    memory = replace(memory, worker_rate=_measured(sight, memory.worker_rate))
    if sight.paused:
        return current, replace(memory, more_since=None, fewer_since=None)
    need = _need(band, sight.backlog, memory.worker_rate, current)
    if need > current:
        since = sight.now if memory.more_since is None else memory.more_since
        if sight.now - since < UP_SECONDS:
            return current, replace(memory, more_since=since, fewer_since=None)
        return min(need, 2 * current), replace(memory, more_since=None, fewer_since=None)
    relaxed = Band(band.least, band.most, band.target_seconds * MARGIN)
    if _need(relaxed, sight.backlog, memory.worker_rate, current) < current:
        since = sight.now if memory.fewer_since is None else memory.fewer_since
        if sight.now - since < DOWN_SECONDS:
            return current, replace(memory, more_since=None, fewer_since=since)
        return current - 1, replace(memory, more_since=None, fewer_since=None)
    return current, replace(memory, more_since=None, fewer_since=None)


def within_room(wanted: int, current: int, room: int | None) -> int:
    """`wanted`, or as many more than `current` as the database has connections for, less `SPARE`; never fewer."""
    if room is None or wanted <= current:
        return wanted
    return min(wanted, current + max(0, room - SPARE))


def _measured(sight: Sight, before: float | None) -> float | None:
    # Only workers with a backlog behind them show how fast they can be.
    if not sight.backlog or not sight.consuming or sight.rate <= 0:
        return before
    rate = sight.rate / sight.consuming
    return rate if before is None else before + SMOOTHING * (rate - before)


def _need(band: Band, backlog: int, worker_rate: float | None, current: int) -> int:
    if not backlog:
        return band.least
    if not worker_rate:
        return current
    drained = worker_rate * band.target_seconds
    if backlog >= drained * band.most:
        return band.most  # The quotient may be beyond any number.
    return max(math.ceil(backlog / drained), band.least)
