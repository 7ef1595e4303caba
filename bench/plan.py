"""How much of everything a run does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

SECTIONS: Final = ("drain", "post", "stopped", "growth", "scale", "memory")


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts are messages, sizes rows or bytes."""

    rounds: int = 3
    drain: int = 12_000
    connections: Sequence[int] = (1, 16, 64, 256)
    post_seconds: float = 1.5
    lone: int = 100
    stopped: int = 2_000
    growth: int = 40_000
    growth_sizes: Sequence[int] = (10_000_000,)
    scale: int = 12_000
    backlogs: Sequence[int] = (10_000, 1_000_000)
    memory: Mapping[int, int] = field(default_factory=lambda: {900: 20_000, 200_000: 2_200, 1_500_000: 120})
    """Message size -> how many: a full prefetch by count is 2000."""

    def with_(self, rounds: int | None, long_run: bool) -> Plan:
        sizes = (*self.growth_sizes, 50_000_000) if long_run else self.growth_sizes
        return replace(self, rounds=rounds or self.rounds, growth_sizes=sizes)


DEFAULT: Final = Plan()
QUICK: Final = Plan(
    rounds=1,
    drain=500,
    connections=(1, 16),
    post_seconds=0.5,
    lone=5,
    stopped=50,
    growth=500,
    growth_sizes=(20_000,),
    scale=500,
    backlogs=(1_000, 3_000),
    memory={900: 1_000, 200_000: 60},
)
