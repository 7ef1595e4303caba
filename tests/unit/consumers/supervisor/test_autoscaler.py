"""The autoscaler's own law; what is wanted is decided in autoscale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from consumers.supervisor.autoscale import Band
from consumers.supervisor.autoscaler import Autoscaler


@dataclass
class Workers:
    """A pool of which some consume; `meter` and `monitor` too, as far as the autoscaler asks them."""

    wanted: int = 2
    ready: int = 2
    backlog: int = 100_000
    room: int | None = 3
    seen_at: float = 0.0
    room_seen_at: float = 0.0
    broker_fault: str | None = None
    database_fault: str | None = None
    asked: list[float] = field(default_factory=list)

    def at_work(self) -> int:
        return self.ready

    def described(self) -> list[dict[str, Any]]:
        return [{"state": "consuming"}] * self.ready

    def rate(self, now: float) -> float:
        return 10.0


def steered(autoscaler: Autoscaler, workers: Workers, until: float, since: float = 0.0) -> None:
    for second in range(int(since), int(until) + 1):
        workers.seen_at = workers.room_seen_at = float(second)
        autoscaler.steer(workers, workers, workers, float(second))  # type: ignore[arg-type]


def test_a_worker_that_is_still_connecting_has_taken_its_room() -> None:
    """With room for one and two spare, one is added, and none after it until it consumes and room was seen anew,
    however long that takes."""
    workers = Workers()
    autoscaler = Autoscaler(Band(1, 6, 1.0), engaged=True)
    steered(autoscaler, workers, 20)
    assert workers.wanted == 3
    steered(autoscaler, workers, 600, 21)
    assert workers.wanted == 3, "its connection is not among those seen"
    workers.ready, workers.room = 3, 2
    steered(autoscaler, workers, 700, 601)
    assert workers.wanted == 3
    workers.room = 4
    steered(autoscaler, workers, 800, 701)
    assert workers.wanted == 5


def test_room_seen_before_a_quick_worker_consumed_is_not_given_away_twice() -> None:
    """A worker that consumes by the next look has taken room all the same, which a look made before it did not see."""
    workers = Workers()
    autoscaler = Autoscaler(Band(1, 6, 1.0), engaged=True)
    second = 0
    while workers.wanted == 2:
        steered(autoscaler, workers, second, second)
        second += 1
    workers.ready, workers.room_seen_at = 3, float(second)
    for later in range(second + 1, second + 60):
        workers.seen_at = float(later)
        autoscaler.steer(workers, workers, workers, float(later))  # type: ignore[arg-type]
    assert workers.wanted == 3
