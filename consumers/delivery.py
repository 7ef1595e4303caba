"""The values that travel: a delivery off a queue, what the judge said of it, the batch it is committed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from schemas.doors import IMPLIED
from schemas.labels import Trigger
from schemas.message import ANSWER_SECONDS, HEADER_ANSWER_BY, HEADER_LETTER, HEADER_REPLAY, HEADER_RETRIES, Message
from schemas.topology import DELAY_SECONDS
from schemas.validation.judge import Candidate
from schemas.verdict import Invalid, Pong, Verdict


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message off a queue.

    `tag` is the delivery tag, worth something only on the channel of `generation`.
    `exchange` and `routing_key` are where the sender published it, whatever way it took since, `origin_queue` the
    queue it reached first. `headers` are those that are believed: a shim's or a worker's own, or none; `properties`
    has all, as they came. `reply_to` is set where a shim waits for the answer, `correlation_id` where it is a shim's.
    `problem`: why it can't even be judged.
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
    origin_queue: str = ""
    problem: Invalid | None = None

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


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A delivery with what the judge said of it: what a batch is made of.

    `judgement` is a Candidate to store, an Invalid to set aside, or a Pong to answer.
    """

    delivery: Delivery
    judgement: Candidate | Invalid | Pong


def is_patient(delivery: Delivery, now: float, patience_seconds: int) -> bool:
    """Whether a run end may wait in the delay queue, at `now` of UNIX time: nobody waits for its answer, or no longer,
    and it has not been there for `patience_seconds`."""
    late = delivery.answer_by is not None and now > delivery.answer_by
    return (late or not delivery.reply_to) and delivery.retries * DELAY_SECONDS < patience_seconds


def hears(delivery: Delivery, now: float, spare: float) -> bool:
    """Whether its sender surely still waits at `now` of UNIX time, and will for `spare` seconds: at the first try only,
    not where the clocks of shim and worker disagree, nor at a door that may answer a refusal with 202."""
    if (
        delivery.message.door != IMPLIED
        or not (delivery.reply_to and delivery.correlation_id)
        or delivery.deliveries
        or delivery.retries
    ):
        return False
    published = _count(getattr(delivery.properties, "timestamp", None), 2**63)
    if published is None or published > now + 1:
        return False
    # Both are whole seconds: the earlier end of what they may mean.
    until = published + ANSWER_SECONDS if delivery.answer_by is None else delivery.answer_by - 1
    return now + spare < until


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Items to be committed together, in order of arrival, and what triggered it."""

    items: tuple[T, ...]
    bytes: int
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch that is in the database, a verdict for each item, and how long that took in seconds."""

    batch: Batch[Judged]
    verdicts: Sequence[Verdict]
    seconds: float
