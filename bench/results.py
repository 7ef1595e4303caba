"""What was measured: figures by name, each a value a round, and what was found wrong on the way."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Figure:
    """One measured quantity; `values` has one number a round."""

    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def to_json(self) -> dict[str, Any]:
        spread = {"median": self.median, "min": min(self.values), "max": max(self.values)}
        return {"unit": self.unit, **spread, "values": self.values}


@dataclass(slots=True)
class Results:
    """Figures by section and name, in the order they came in; `say` tells of each at once."""

    say: Callable[[str], None]
    figures: dict[tuple[str, str], Figure] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, section: str, name: str, value: float, unit: str) -> None:
        self.figures.setdefault((section, name), Figure(unit)).values.append(value)
        self.say(f"{section:7} {name:28} {number(value):>10} {unit}")

    def fault(self, section: str, name: str, texts: Sequence[str]) -> None:
        """Wrong rows: no figure counts for anything then, and the exit code says so."""
        for text in texts:
            self.faults.append(f"{section}: {name}: {text}")
            self.say(f"WRONG   {section}: {name}: {text}")

    def ratios(self, section: str, above: str, below: str) -> list[float]:
        """Round by round, so that what a noisy machine did to both cancels out; empty if not measured."""
        pair = [self.figures.get((section, name)) for name in (above, below)]
        if pair[0] is None or pair[1] is None:
            return []
        return [a / b for a, b in zip(pair[0].values, pair[1].values, strict=False) if b]


def number(value: float) -> str:
    """Three significant digits, and no more decimals than that takes."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"
