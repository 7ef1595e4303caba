"""The worker's loop: deliveries are judged, gathered, committed, answered and settled, in that order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from consumers.broker.deaths import broker_death, given_up
from consumers.delivery import Committed, Delivery, Judged, hears
from consumers.runtime.failpoints import Failpoint
from consumers.worker.batcher import Batcher
from consumers.worker.committer import Committer
from consumers.worker.guard import FaultGuard
from consumers.worker.hand import Hand
from consumers.worker.intake import FAULT, fault_of
from consumers.worker.seams import Outbox, Source
from schemas.message import HEADER_GIVEN_UP, PING, Message
from schemas.topology import DEAD, QUARANTINE, QUEUES
from schemas.validation.judge import Candidate
from schemas.verdict import Invalid, Pong, Verdict, is_parked, is_told

Judging = Callable[[Message], Candidate | Invalid]

TICK_SECONDS = 1.0
"""How long the loop may sleep: heartbeats and stop requests are heeded at least this often."""

CANCEL_SECONDS = 0.05
"""How long a drain sleeps at a time while the broker has not said that it delivers no more."""

SUSPECT_AT = 2
"""Earlier deliveries that make a message a suspect: seen for the third time, it leaves the crowd."""

LATEST_SECONDS = 0.2
"""How long before its shim gives up an answer must leave that nothing else is left of."""

CROWDS = frozenset({*QUEUES, DEAD})
"""The queues where a suspect has neighbours."""

HURRY_SECONDS = 3.0
"""How long a hurried end waits for the commit that is under way."""


@dataclass(slots=True)
class Pipeline:
    """Everything the loop works with; made by the worker, once for each connection to the broker."""

    source: Source
    judge: Judging
    batcher: Batcher[Judged]
    committer: Committer
    outbox: Outbox
    failpoint: Failpoint
    clock: Callable[[], float]
    max_bytes: int
    """Payload bytes in hand at most; beyond them the broker's socket is left unread, but for heartbeats."""
    heartbeat: float
    drain_seconds: float
    guard: FaultGuard = field(default_factory=FaultGuard)
    wall: Callable[[], float] = time.time
    """UNIX time, in which deadlines travel."""
    observe: Callable[[Committed], None] = lambda _: None
    """Told of each batch once it is settled."""
    tick: Callable[[int, str], None] = lambda *_: None
    """Told, each time round, how many messages are in hand, and why some of them stay there."""
    hand: Hand = field(init=False)
    _late: set[int] = field(default_factory=set)
    """Tags that are to be committed out of their turn: younger ones may be acknowledged before them."""

    def __post_init__(self) -> None:
        self.hand = Hand(self.source, self.outbox, self.failpoint, self.clock, self.guard, self._letter_of)

    def run(
        self,
        stopping: Callable[[], bool],
        *,
        maintain: Callable[[], None],
        hurrying: Callable[[], bool] = lambda: False,
    ) -> None:
        """Until `stopping` says so; then what has been received is committed and acked before returning.
        Once `hurrying` says so, only the commit under way is finished, and the rest goes back.

        Raises BrokerUnavailable, StoreUnavailable or Misconfigured; what was in hand goes back to its queue
        then.
        """
        draining = False
        drain_until = 0.0
        read_at = self.clock()
        inflight_bytes = inflight = 0
        while True:
            self.tick(len(self.batcher) + inflight + len(self.hand), self.hand.why)
            if hurrying():
                self._hurry()
                return
            if stopping() and not draining:
                self.source.stop_consuming()
                draining, drain_until = True, self.clock() + self.drain_seconds
            if draining and self.clock() > drain_until:
                self.committer.abandon()
            full = self.committer.busy and self.batcher.bytes + inflight_bytes >= self.max_bytes
            dry = False
            if not full or self.clock() - read_at > self.heartbeat / 4:
                deliveries = self.source.poll(0 if full else self._timeout(draining))
                read_at = self.clock()
                dry = not deliveries
                for delivery in deliveries:
                    self._take_in(delivery)
            else:
                self.committer.wait(TICK_SECONDS)
            committed = self.committer.collect()
            if committed is not None:
                inflight_bytes = inflight = 0
                self._settle(committed)
            if not self.committer.busy:
                # Only now: the store has one connection, and is not for two threads at once.
                maintain()
                batch = self.batcher.take(self.clock(), idle=dry, drain=draining)
                if batch is not None:
                    inflight_bytes, inflight = batch.bytes, len(batch.items)
                    self.committer.submit(batch)
                elif draining and dry and not len(self.batcher) and self._left(drain_until):
                    return
            if dry:
                self.outbox.tick()
                self.hand.tick()

    def _hurry(self) -> None:
        self.committer.abandon()
        self.committer.wait(HURRY_SECONDS)
        committed = self.committer.collect()
        if committed is not None:
            self._settle(committed)

    def _left(self, drain_until: float) -> bool:
        """Nothing more is under way; a broker that does not say so is not waited for longer than all else."""
        return self.source.stopped or self.clock() > drain_until

    def _timeout(self, draining: bool) -> float:
        if self.committer.busy:
            return self.committer.patience(TICK_SECONDS)
        if draining:
            return 0 if self.source.stopped else CANCEL_SECONDS
        return self.batcher.patience(self.clock()) if len(self.batcher) else TICK_SECONDS

    def _take_in(self, delivery: Delivery) -> None:
        if delivery.queue == DEAD and HEADER_GIVEN_UP in delivery.headers:
            self.hand.park(delivery, "its worker died each time a letter was to be made of it, alone in quarantine too")
        elif delivery.deliveries >= SUSPECT_AT and delivery.queue in CROWDS:
            self.hand.quarantine(delivery)
        else:
            self._gather(Judged(delivery, self._judged(delivery)))

    def _gather(self, item: Judged) -> None:
        self.batcher.add(item, len(item.delivery.message.payload), self.clock())

    def _letter_of(self, delivery: Delivery, why: Invalid) -> None:
        self._late.add(delivery.tag)
        self._gather(Judged(delivery, why))

    def _judged(self, delivery: Delivery) -> Candidate | Invalid | Pong:
        try:
            return self._judgement(delivery)
        except Exception as error:
            self.guard.fault("judging", error)
            return fault_of(error)

    def _judgement(self, delivery: Delivery) -> Candidate | Invalid | Pong:
        message = delivery.message
        if delivery.queue == DEAD:
            self.failpoint.reach("letter", message.payload)
            return broker_death(delivery.properties.headers or {})
        if delivery.queue == QUARANTINE and HEADER_GIVEN_UP in delivery.headers:
            self.failpoint.reach("letter", message.payload)
            return given_up(delivery.headers[HEADER_GIVEN_UP], delivery.origin_queue)
        if delivery.problem is not None:
            if delivery.problem.reason == FAULT:
                self.guard.count("taking in")
            return delivery.problem
        if message.kind == PING:
            return Pong()
        self.failpoint.reach("judge", message.payload)
        return self.judge(message)

    def _settle(self, committed: Committed) -> None:
        pairs = [
            (item.delivery, verdict) for item, verdict in zip(committed.batch.items, committed.verdicts, strict=True)
        ]
        unheard = self._answer(pairs)
        if self._late:
            self._late.difference_update(delivery.tag for delivery, _ in pairs)
        done = []
        for delivery, verdict in pairs:
            if is_parked(verdict):
                self.hand.park(delivery, str(dict(verdict.details)))
            elif not verdict.fate.ends or id(delivery) in unheard:
                self.hand.delay(delivery)
            else:
                done.append(delivery)
        self.source.acknowledge(done, whole_prefix=not (self.hand or self._late))
        self.failpoint.reach("after_ack")
        self.guard.tried("logging", lambda: structlog.get_logger().info("batch committed", **_line(committed)))
        self.guard.tried("measuring", lambda: self.observe(committed))

    def _answer(self, pairs: Sequence[tuple[Delivery, Verdict]]) -> set[int]:
        """Answer whoever waits; the ids of deliveries of which neither a letter is kept nor the sender sure to be told.

        Those come again after the delay, and are letters then: nobody waits for them any more.
        """
        told = [(delivery, verdict) for delivery, verdict in pairs if is_told(verdict)]
        gone = unheard([delivery for delivery, _ in told], self.outbox.listening, self.wall())
        answered = [each for each in pairs if each[1].fate.ends and not is_parked(each[1]) and id(each[0]) not in gone]
        sent = False

        def reply() -> None:
            nonlocal sent
            sent = self.outbox.reply(answered)

        self.guard.tried("replying", reply)
        if not sent:
            gone = {id(delivery) for delivery, _ in told}
        if told:
            whys = sorted({verdict.told for _, verdict in told})[:10]
            structlog.get_logger().warning("letters not kept", messages=len(told) - len(gone), why=whys)
        return gone


def unheard(told: Sequence[Delivery], listening: Callable[[str], bool], now: float) -> set[int]:
    """The ids of those whose sender waits no more, or whose shim has gone."""
    there = {reply_to: listening(reply_to) for reply_to in sorted({str(each.reply_to) for each in told})}
    return {id(each) for each in told if not (there[str(each.reply_to)] and hears(each, now, LATEST_SECONDS))}


def _line(committed: Committed) -> Mapping[str, Any]:
    batch = committed.batch
    return {
        "messages": len(batch.items),
        "bytes": batch.bytes,
        "trigger": batch.trigger,
        "seconds": round(committed.seconds, 4),
        **Counter(verdict.fate.outcome for verdict in committed.verdicts),
    }
