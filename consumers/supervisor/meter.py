"""Measures a rate over the last seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Meter:
    """How many a second over the last `window` seconds; it is told the time."""

    window: float = 10.0
    _counted: deque[tuple[float, int]] = field(default_factory=deque)
    _began: float | None = None

    def add(self, count: int, now: float) -> None:
        """Count some that were done just now."""
        self._counted.append((now, count))

    def rate(self, now: float) -> float:
        """A second, over the window or, before it is full, since the first call."""
        if self._began is None:
            self._began = now
        while self._counted and self._counted[0][0] <= now - self.window:
            self._counted.popleft()
        seconds = min(self.window, now - self._began)
        return sum(count for _, count in self._counted) / seconds if seconds > 0 else 0.0
