"""What was measured: figures by name, each a value a round, and what was found wrong on the way."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WHO: Final = ("worker", "shim", "RabbitMQ", "PostgreSQL")
"""Whose processor time stands beside a rate; a peer's process stands where ours would."""


@dataclass(frozen=True, slots=True)
class Value:
    """One measured number; `cpu` is what each of WHO used for a message, microseconds."""

    section: str
    name: str
    value: float
    unit: str
    cpu: Mapping[str, float]


@dataclass(slots=True)
class Figure:
    """One measured quantity; `values` has one number a round, `cpu` one of each of WHO that had a part in it, `busy`
    counts the rounds that fell on a busy machine."""

    unit: str
    values: list[float] = field(default_factory=list)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    busy: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def cpu_sums(self, who: Sequence[str]) -> list[float]:
        """Microseconds of processor time a message, of all these together, a number a round."""
        return [sum(each) for each in zip(*(used for by, used in self.cpu.items() if by in who), strict=True)]

    def to_json(self) -> dict[str, Any]:
        spread = {"median": self.median, "min": min(self.values), "max": max(self.values)}
        return {"unit": self.unit, **spread, "values": self.values, "cpu": self.cpu, "busy": self.busy}


@dataclass(slots=True)
class Results:
    """Figures by section and name, in the order they came in; `say` tells of each at once.

    What is added waits until it is known whether it counts: it is taken, and kept or not.
    """

    say: Callable[[str], None]
    figures: dict[tuple[str, str], Figure] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _waiting: list[Value] = field(default_factory=list)

    def add(self, section: str, name: str, value: float, unit: str, cpu: Mapping[str, float] | None = None) -> None:
        self._waiting.append(Value(section, name, value, unit, cpu or {}))
        self.say(f"{section:7} {name:28} {number(value):>10} {unit}")

    def taken(self) -> list[Value]:
        """What has been added since it was asked last."""
        taken, self._waiting = self._waiting, []
        return taken

    def keep(self, values: Sequence[Value], *, busy: bool) -> None:
        for each in values:
            figure = self.figures.setdefault((each.section, each.name), Figure(each.unit))
            figure.values.append(each.value)
            figure.busy += busy
            for who, used in each.cpu.items():
                figure.cpu.setdefault(who, []).append(used)

    def fault(self, section: str, name: str, texts: Sequence[str]) -> None:
        """Wrong rows: no figure counts for anything then, and the exit code says so."""
        for text in texts:
            self.faults.append(f"{section}: {name}: {text}")
            self.say(f"WRONG   {section}: {name}: {text}")

    def values(self, section: str, name: str) -> list[float]:
        """A number a round; none if it was not measured."""
        figure = self.figures.get((section, name))
        return figure.values if figure else []

    def cpu_sums(self, section: str, name: str, who: Sequence[str] = WHO) -> list[float]:
        figure = self.figures.get((section, name))
        return figure.cpu_sums(who) if figure else []

    def calm(self, section: str, name: str) -> bool:
        """Whether no round of it fell on a busy machine."""
        figure = self.figures.get((section, name))
        return not (figure and figure.busy)

    def ratios(self, section: str, above: str, below: str) -> list[float]:
        """Round by round, so that what a noisy machine did to both cancels out; empty if not measured."""
        return divided(self.values(section, above), self.values(section, below))


def divided(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(above, below, strict=False) if b]


def number(value: float) -> str:
    """Three significant digits, and no more decimals than that takes."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"
