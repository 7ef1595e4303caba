"""A replay's process tells how far it is, at most once a second, and hears what is wanted of it in the same breath."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consumers.dead_letters.replays.wishes import PAUSE, PAUSED, RUN, RUNNING
from consumers.dead_letters.repository import Repository
from schemas.labels import ReplayState, ReplayWish

TELL_SECONDS: Final = 1.0


@dataclass(slots=True)
class Tally:
    """Letters that were looked at; of them those passed over, and those that the broker did not take."""

    looked_at: int = 0
    passed_over: int = 0
    not_taken: int = 0


class Control:
    """Of one replay that this session has taken."""

    def __init__(
        self, repository: Repository, number: int, tally: Tally, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._repository = repository
        self._number = number
        self._tally = tally
        self._clock = clock
        self._told: float | None = None
        self._said: ReplayState = RUNNING
        self._wanted: ReplayWish = RUN

    def wanted(self, *, at_rest: bool = False) -> ReplayWish:
        """What is wanted, a second old at most. `at_rest`: nothing is in hand, so a pause has come into force."""
        doing = PAUSED if at_rest and self._wanted == PAUSE else RUNNING
        if doing != self._said or self._told is None or self._clock() - self._told >= TELL_SECONDS:
            self._tell(doing)
        return self._wanted

    def leave(self) -> None:
        """How far it was when it was left; whoever looks finds it interrupted."""
        self._tell(RUNNING)

    def end(self, state: ReplayState) -> None:
        """It is done, or stopped."""
        self._tell(state)

    def _tell(self, doing: ReplayState) -> None:
        facts = {
            "looked_at": self._tally.looked_at, "passed_over": self._tally.passed_over,
            "not_taken": self._tally.not_taken, "host": socket.gethostname(),
        }  # fmt: skip
        for row in self._repository.rows("replay_tell", run=self._number, state=doing, **facts):
            self._wanted = row["wanted"]
        self._said, self._told = doing, self._clock()
