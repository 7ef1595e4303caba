"""Moves deliveries to other queues, and keeps in hand those that can't be moved yet, while the others go on."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from consumers.broker.publisher import NeverTaken, NotTaken
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable, Misconfigured
from consumers.runtime.failpoints import Failpoint
from consumers.worker.guard import FaultGuard
from consumers.worker.intake import fault_of
from consumers.worker.seams import Outbox, Source
from schemas.verdict import Invalid
from schemas.wording import shorten

RETRY_SECONDS: Final = 5.0
"""How long after a move that failed the next one is tried: a broker in alarm takes nothing from anybody."""

ROOM_BYTES: Final = 64 * 1024 * 1024
"""Payload bytes that may stay in hand before no more room is made beside them."""

PARK_AT: Final = 5
"""Earlier deliveries after which what can't be moved is no letter either: making one seems to be what kills."""

_LONGEST: Final = 500
"""Characters of a reason that travels in a header, which has to fit into any frame."""


@dataclass(frozen=True, slots=True)
class _Move:
    delivery: Delivery
    send: Callable[[Delivery], None]
    said: str
    or_letter: bool = True
    """What can't ever be moved becomes a letter; what is none has nowhere else to go."""


@dataclass(slots=True)
class Hand:
    """A delivery leaves for the other queue first, and is acknowledged once the broker has it there.

    While the broker takes nothing (an alarm) it stays in hand, unacknowledged: nothing is given back for it.
    `letter` is told of one that can't ever be moved; it is not in hand any more then.
    """

    source: Source
    outbox: Outbox
    failpoint: Failpoint
    clock: Callable[[], float]
    guard: FaultGuard
    letter: Callable[[Delivery, Invalid], None]
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

    def park(self, delivery: Delivery, why: str) -> None:
        """What can't become a letter is kept for a person to see, now or as soon as the broker takes it."""
        reason = shorten(why, _LONGEST)
        self._send(_Move(delivery, lambda each: self.outbox.park(each, reason), "message parked", or_letter=False))

    def tick(self) -> None:
        """Try again those that are due. Raises BrokerUnavailable when the source is gone."""
        if not self._kept or self.clock() < self._try_at:
            return
        due, self._kept, self._bytes = self._kept, deque(), 0
        self._held.clear()
        for move in due:
            self._send(move)
        if not self._kept:
            structlog.get_logger().info("no deliveries stay in hand any more", left=len(due))
            self.why = ""

    def _send(self, move: _Move) -> None:
        if self._kept and self._nobody:
            self._keep(move)
            return
        delivery = move.delivery
        try:
            move.send(delivery)
        except NeverTaken as error:
            self._give_up(move, Invalid("broker", "immovable", {"message": f"it can't be moved: {error}"}))
            return
        except (BrokerUnavailable, Misconfigured) as error:
            self._nobody = not isinstance(error, NotTaken)
            self._keep(move, str(error))
            return
        except Exception as error:
            self.guard.fault("moving", error)
            self._give_up(move, fault_of(error))
            return
        if move.said:
            self.failpoint.reach("after_move", delivery.message.payload)
        self.source.acknowledge([delivery], whole_prefix=False)
        if move.said:
            structlog.get_logger().warning(move.said, queue=delivery.queue, deliveries=delivery.deliveries)

    def _give_up(self, move: _Move, why: Invalid) -> None:
        if not move.or_letter:
            self._nobody = False
            self._keep(move, why.details["message"])
        elif move.delivery.deliveries >= PARK_AT:
            self.park(move.delivery, why.details["message"])
        else:
            structlog.get_logger().warning("can't be moved", queue=move.delivery.queue, why=why.details["message"])
            self.letter(move.delivery, why)

    def _keep(self, move: _Move, why: str = "") -> None:
        """Until the next try; `why` where one has just failed."""
        self._kept.append(move)
        self._bytes += len(move.delivery.message.payload)
        queue = move.delivery.queue
        self._held[queue] += 1
        if why:
            self._try_at = self.clock() + RETRY_SECONDS
            self._say(why)
        if self._bytes < ROOM_BYTES:
            self.source.make_room(queue, self._held[queue])

    def _say(self, why: str) -> None:
        if why != self.why:
            structlog.get_logger().warning("deliveries stay in hand", why=why, held=len(self._kept))
        self.why = why
