"""Measures a rate over the last seconds in which something was done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

REPORTED_SECONDS = 1.0
"""What is counted was done in so many seconds before, at most."""


@dataclass(slots=True)
class Meter:
    """How many a second over the last `window` seconds; it is told the time.

    Where nothing was done for longer than that, the time before the first thing that is counts for nothing.
    """

    window: float = 10.0
    _counted: deque[tuple[float, int]] = field(default_factory=deque)
    _since: float = 0.0

    def add(self, count: int, now: float) -> None:
        """Count some that were done just now."""
        self._forget(now)
        if not count:
            return
        if not self._counted:
            self._since = now - REPORTED_SECONDS
        self._counted.append((now, count))

    def rate(self, now: float) -> float:
        """A second, over the window or, before it is full, since the work began."""
        self._forget(now)
        seconds = min(self.window, max(REPORTED_SECONDS, now - self._since))
        return sum(count for _, count in self._counted) / seconds

    def _forget(self, now: float) -> None:
        while self._counted and self._counted[0][0] <= now - self.window:
            self._counted.popleft()
