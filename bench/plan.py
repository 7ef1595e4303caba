"""How much of everything a run does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bench import drain

SECTIONS: Final = ("drain", "post", "age", "stopped", "growth", "scale", "reads", "console", "memory")


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts are messages, sizes rows or bytes."""

    rounds: int = 3
    patience: float = 90.0
    """Seconds of the whole run for waiting until the machine is calm, and for measuring again."""
    segments: int = 128
    """Of WAL, there before anything is measured."""
    line_up: Sequence[tuple[str, int]] = drain.LINE_UP
    drain: int = 12_000
    connections: Sequence[int] = (1, 64, 256)
    post_seconds: float = 1.5
    lone: int = 100
    age: Mapping[int, float] = field(default_factory=lambda: {100: 10.0, 500: 6.0, 1000: 4.0, 2000: 3.0})
    """Messages a second -> for how long."""
    stopped: int = 2_000
    growth: int = 40_000
    growth_sizes: Sequence[int] = (10_000_000,)
    reads: tuple[int, int] = (10_000_000, 1_000_000)
    """Actions and runs."""
    console: tuple[int, int, int] = (1_000_000, 100_000, 100_000)
    """Actions, letters and runs."""
    processes: Sequence[int] = (1, 2, 4)
    scale: int = 12_000
    backlogs: Sequence[int] = (10_000, 200_000)
    memory: Mapping[int, int] = field(default_factory=lambda: {900: 20_000, 200_000: 2_200, 1_500_000: 120})
    """Message size -> how many: a full prefetch by count is 2000."""

    def with_(self, rounds: int | None, long_run: bool) -> Plan:
        sizes = (*self.growth_sizes, 50_000_000) if long_run else self.growth_sizes
        return replace(self, rounds=rounds or self.rounds, growth_sizes=sizes)


DEFAULT: Final = Plan()
QUICK: Final = Plan(
    rounds=1,
    patience=0.0,
    segments=0,
    line_up=[each for each in drain.LINE_UP if each not in ((drain.OURS, 2), (drain.COPY, 2))],
    drain=300,
    connections=(8,),
    post_seconds=0.3,
    lone=3,
    age={100: 0.5},
    stopped=50,
    growth=300,
    growth_sizes=(20_000,),
    reads=(2_000, 10_000),
    console=(2_000, 200, 1_000),
    processes=(2,),
    scale=300,
    backlogs=(),
    memory={200_000: 60},
)
"""Everybody and every kind of measurement once; what would only be the same again is left out."""
