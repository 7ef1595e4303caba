"""What became of replayed letters is told to the last."""

from __future__ import annotations

from typing import Any, cast

from consumers.dead_letters.replays.watch import settled
from consumers.dead_letters.repository import Repository


class Settled:
    """A database in which these letters are settled."""

    def __init__(self, *settled: int) -> None:
        self._settled = settled

    def rows(self, _name: str, ids: list[int]) -> list[dict[str, Any]]:
        """Those that are asked for."""
        return [{"id": each} for each in self._settled if each in ids]


def told(database: Settled, seconds: float, stopping: bool) -> list[int]:
    found = settled(cast(Repository, database), [1, 2, 3], seconds, lambda: stopping)
    return [row["id"] for row in found]


def test_who_stops_waiting_is_told_of_what_was_settled_before() -> None:
    """After Ctrl-C, as when the time is over, there is a last look: what is settled is not called unsettled."""
    assert told(Settled(1, 3), 60.0, stopping=True) == [1, 3]
    assert told(Settled(1, 3), 0.0, stopping=False) == [1, 3]
    assert told(Settled(1, 2, 3), 60.0, stopping=False) == [1, 2, 3]
