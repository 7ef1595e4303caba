"""A delivery is a message as the broker handed it over, with what is needed to settle and to explain it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.message import HEADER_ANSWER_BY, HEADER_LETTER, HEADER_REPLAY, HEADER_RETRIES, Message


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message off a queue.

    `tag` is the delivery tag, worth something only on the channel of `generation`.
    `exchange` and `routing_key` are where the sender published it, whatever way it took since.
    """

    message: Message
    tag: int
    generation: int
    queue: str
    exchange: str
    routing_key: str
    reply_to: str | None = None
    correlation_id: str | None = None
    headers: Mapping[str, Any] = {}
    properties: Any = None

    @property
    def deliveries(self) -> int:
        """Earlier deliveries that were neither acked nor given up (quorum queues count them)."""
        return _count(self.headers.get("x-delivery-count"), 2**63) or 0 if self.headers else 0

    @property
    def letter_id(self) -> int | None:
        """The dead letter this is a replay of, if it is one."""
        return _count(self.headers.get(HEADER_LETTER), 2**63)

    @property
    def replay(self) -> int | None:
        """Which replay of that letter this is, counted from 1."""
        return _count(self.headers.get(HEADER_REPLAY), 2**31)

    @property
    def answer_by(self) -> int | None:
        """The UNIX time after which nobody waits for its answer; None: whoever waits, waits."""
        return _count(self.headers.get(HEADER_ANSWER_BY), 2**63)

    @property
    def retries(self) -> int:
        """How often the delay queue has brought it back."""
        return _count(self.headers.get(HEADER_RETRIES), 2**31) or 0


def _count(value: object, limit: int) -> int | None:
    # Anybody may set a header: the database's integers end before Python's. What is wide on the wire pika makes
    # an integer of its own kind.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit:
        return int(value)
    return None
