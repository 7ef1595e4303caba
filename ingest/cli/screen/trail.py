"""Remembers how backlog and rate went, look by look, and draws each as a line of bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

BARS: Final = "▁▂▃▄▅▆▇█"
PLAIN_BARS: Final = "_.-=+*%#"
"""For a terminal that can't show the others."""
LOOKS: Final = 60


@dataclass(slots=True)
class Trail:
    """The latest looks, oldest first."""

    backlogs: deque[float] = field(default_factory=lambda: deque(maxlen=LOOKS))
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=LOOKS))

    def add(self, found: Mapping[str, Any]) -> None:
        """Note what `gather` found; what could not be seen is no zero."""
        if "broker" not in found["faults"]:
            self.backlogs.append(found["backlog"])
        if found["supervisor"]:
            self.rates.append(found["supervisor"]["rate"])


def sparkline(values: Sequence[float], width: int, bars: str = BARS) -> str:
    """The last `width` values, the largest of them as the highest bar; none of them is below 0."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0) or 1.0
    return "".join(bars[min(len(bars) - 1, int(len(bars) * value / top))] for value in shown)
