"""Follows what operators pause: looks every few seconds, and has the source hold those queues."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from consumers.errors import Misconfigured, StoreUnavailable
from consumers.machines.pauses import PAUSABLE, Pause, held

LOOK_SECONDS: Final = 2.0


class Pausing(Protocol):
    """The part of a Store that tells what is paused."""

    def pauses(self) -> Sequence[Pause]: ...


class Holds(Protocol):
    """The part of a Source that holds back."""

    def hold(self, queues: Collection[str]) -> None: ...


class Holding:
    """What a worker holds back of its `queues` on a machine; what was seen last holds while the database is away."""

    def __init__(
        self,
        store: Pausing,
        queues: Collection[str],
        host: str,
        log: Any,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.held: Mapping[str, Pause] = {}
        self._store = store
        self._queues = queues
        self._rest = set(queues) & set(PAUSABLE)
        self._host = host
        self._log = log
        self._clock = clock
        self._due = float("-inf")

    @property
    def why(self) -> str:
        """For a person; empty where nothing is held back."""
        return "; ".join(dict.fromkeys(each.text for each in self.held.values()))

    @property
    def resting(self) -> bool:
        """Whether nothing is left that could be stored."""
        return bool(self.held) and self.held.keys() >= self._rest

    def look(self) -> None:
        """Before the first message is taken. Raises StoreUnavailable or Misconfigured."""
        self._due = self._clock() + LOOK_SECONDS
        found = held(self._store.pauses(), self._host)
        before, self.held = self.held, {queue: each for queue, each in found.items() if queue in self._queues}
        if self.held.keys() != before.keys():
            self._log.info("queues paused" if self.held else "queues resumed", queues=sorted(self.held), why=self.why)

    def step(self, source: Holds) -> None:
        """Look again when it is time. Raises BrokerUnavailable."""
        if self._clock() < self._due:
            return
        try:
            self.look()
        except (StoreUnavailable, Misconfigured) as error:
            self._log.warning("pauses not seen", why=str(error), remedy="the last that were seen still hold")
        source.hold(self.held.keys())
