"""Notices a channel that a queue refuses for too long, so that another one can be tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FIRST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 60.0


@dataclass(slots=True)
class Nacks:
    """Told of each confirm and nack by kind of message; times are seconds on any one clock.

    A channel of RabbitMQ 3.10 that is opened while a quorum queue's leader is dead nacks what is published to
    that queue until the dead node is back, though the queue has long had another leader [measured]. A full
    queue nacks as well, on any channel: so a new one is tried more and more rarely.
    """

    _since: dict[str, float] = field(default_factory=dict)
    _patience: dict[str, float] = field(default_factory=dict)

    def confirmed(self, kind: str) -> None:
        """All is well with this kind's queue."""
        if kind in self._patience or kind in self._since:
            self._since.pop(kind, None)
            self._patience.pop(kind, None)

    def nacked(self, kind: str, now: float) -> bool:
        """Whether it is time for another channel: nothing but nacks, for longer than our patience."""
        since = self._since.setdefault(kind, now)
        patience = self._patience.get(kind, FIRST_SECONDS)
        if now - since < patience:
            return False
        self._since.clear()
        self._patience[kind] = min(LONGEST_SECONDS, 2 * patience)
        return True
