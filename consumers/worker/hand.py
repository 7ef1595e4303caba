"""Moves deliveries to other queues, and keeps in hand those that can't be moved yet, while the others go on."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from consumers.broker.publisher import NotTaken
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable, Misconfigured
from consumers.runtime.failpoints import Failpoint
from consumers.worker.seams import Outbox, Source

RETRY_SECONDS: Final = 5.0
"""How long after a move that failed the next one is tried: a broker in alarm takes nothing from anybody."""

ROOM_BYTES: Final = 64 * 1024 * 1024
"""Payload bytes that may stay in hand before no more room is made beside them."""


@dataclass(frozen=True, slots=True)
class _Move:
    delivery: Delivery
    send: Callable[[Delivery], None]
    said: str


@dataclass(slots=True)
class Hand:
    """A delivery leaves for the other queue first, and is acknowledged once the broker has it there.

    While the broker takes nothing (an alarm) it stays in hand, unacknowledged: nothing is given back for it.
    """

    source: Source
    outbox: Outbox
    failpoint: Failpoint
    clock: Callable[[], float]
    why: str = ""
    """Why deliveries stay in hand, while they do."""
    _kept: deque[_Move] = field(default_factory=deque)
    _try_at: float = 0.0
    _nobody: bool = False
    """The last failure was no fault of one message: no other would fare better before the next try."""
    _bytes: int = 0
    _held: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._kept)

    def quarantine(self, delivery: Delivery) -> None:
        """A suspect leaves the crowd, now or as soon as the broker takes it."""
        self._send(_Move(delivery, self.outbox.quarantine, "suspect quarantined"))

    def delay(self, delivery: Delivery) -> None:
        """A run end waits for its start elsewhere, from now or as soon as the broker takes it."""
        self._send(_Move(delivery, self.outbox.delay, ""))

    def tick(self) -> None:
        """Try again those that are due. Raises BrokerUnavailable when the source is gone."""
        if not self._kept or self.clock() < self._try_at:
            return
        due, self._kept, self._bytes = self._kept, deque(), 0
        self._held.clear()
        for move in due:
            self._send(move)
        if not self._kept:
            structlog.get_logger().info("deliveries moved at last", moved=len(due))
            self.why = ""

    def _send(self, move: _Move) -> None:
        if self._kept and self._nobody:
            self._keep(move)
            return
        try:
            move.send(move.delivery)
        except (BrokerUnavailable, Misconfigured) as error:
            self._nobody = not isinstance(error, NotTaken)
            self._try_at = self.clock() + RETRY_SECONDS
            self._keep(move)
            self._say(str(error))
            return
        if move.said:
            self.failpoint.reach("after_move", move.delivery.message.payload)
        self.source.acknowledge([move.delivery], whole_prefix=False)
        if move.said:
            delivery = move.delivery
            structlog.get_logger().warning(move.said, queue=delivery.queue, deliveries=delivery.deliveries)

    def _keep(self, move: _Move) -> None:
        self._kept.append(move)
        self._bytes += len(move.delivery.message.payload)
        queue = move.delivery.queue
        self._held[queue] += 1
        if self._bytes < ROOM_BYTES:
            self.source.make_room(queue, self._held[queue])

    def _say(self, why: str) -> None:
        if why != self.why:
            structlog.get_logger().warning("deliveries stay in hand", why=why, held=len(self._kept))
        self.why = why
