"""Source, Store and Outbox on plain values, for whoever wants to run the worker's loop without servers."""

from __future__ import annotations

import copy
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pika.spec import BasicProperties

from consumers.broker.deaths import broker_death
from consumers.delivery import Delivery, Judged
from consumers.errors import BrokerUnavailable, StoreUnavailable
from consumers.machines.pauses import Pause
from schemas.kinds import KINDS
from schemas.kinds.columns import Row
from schemas.message import HEADER_GIVEN_UP, HEADER_PARKED, HEADER_RETRIES
from schemas.topology import DEAD, PARKED, QUARANTINE, TOPOLOGY
from schemas.validation.judge import Candidate
from schemas.verdict import Conflict, Created, Invalid, Verdict, becomes_letter

Rows = Mapping[tuple[str, str], Row]
Rule = Callable[[Candidate, Rows], Verdict]
"""A candidate and what is stored, by kind and id -> its verdict."""

_COUNT = "x-delivery-count"
_LIMITS = {queue.name: limit for queue in TOPOLOGY.queues if (limit := queue.arguments.get("x-delivery-limit"))}
"""How often a queue takes a message back before it gives it up."""


@dataclass(slots=True)
class MemoryBroker:
    """Queues of deliveries (their tags and generations mean nothing here), each with how often it has come before."""

    queues: dict[str, deque[tuple[Delivery, int]]] = field(default_factory=lambda: defaultdict(deque))
    delayed: list[Delivery] = field(default_factory=list)
    replies: list[tuple[str, Verdict]] = field(default_factory=list)
    """Correlation ids and what their shims were told."""
    down: bool = False
    strangers: set[str] = field(default_factory=set)
    """Where replies lead nowhere any more: shims that have gone."""
    blocked: bool = False
    """An alarm: it gives, and takes nothing."""

    def put(self, delivery: Delivery) -> None:
        """At the end of the queue that it names."""
        self.queues[delivery.queue].append((delivery, 0))

    def give_back(self, delivery: Delivery, count: int) -> None:
        """To the front of its queue, having come so often; beyond the queue's limit it is a dead one."""
        if count <= _LIMITS.get(delivery.queue, count):
            self.queues[delivery.queue].appendleft((delivery, count))
            return
        properties = copy.copy(delivery.properties or BasicProperties())
        properties.headers = {**(properties.headers or {}), "x-death": [_given_up(delivery.queue)]}
        self.put(msgspec.structs.replace(delivery, queue=DEAD, properties=properties))

    def end_delay(self) -> None:
        """What waited in the delay queue comes back."""
        for delivery in self.delayed:
            self.put(delivery)
        self.delayed.clear()

    def take(self) -> None:
        """Raise as a broker that takes no message."""
        if self.down:
            raise BrokerUnavailable("the broker is down")
        if self.blocked:
            raise BrokerUnavailable("the broker blocks publishers (memory or disk alarm)")


class MemorySource:
    """A Source of a MemoryBroker's queues (name -> prefetch); `sleep` is called with the seconds that a poll waits,
    `wake` ends that."""

    def __init__(
        self,
        broker: MemoryBroker,
        queues: Mapping[str, int],
        generation: int = 1,
        sleep: Callable[[float], None] = lambda _: None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.generation = generation
        self.stopped = False
        self._broker = broker
        self._room = dict(queues)
        self._prefetch = dict(queues)
        self._sleep = sleep
        self.wake = wake
        self._tag = 0
        self._unacked: dict[int, tuple[Delivery, int]] = {}
        self._lost = self._deaf = False
        self._held: frozenset[str] = frozenset()

    @property
    def in_hand(self) -> int:
        """How many deliveries the broker waits for."""
        return len(self._unacked)

    def poll(self, timeout: float) -> list[Delivery]:
        """What the queues have, within their prefetch."""
        self._require()
        found = self._taken()
        if not found and timeout > 0:
            self._sleep(timeout)
            self._require()
            found = self._taken()
        return found

    def acknowledge(self, deliveries: Iterable[Delivery], *, whole_prefix: bool) -> None:
        """Forget them."""
        self._require()
        if self._deaf:
            return
        tags = [each.tag for each in deliveries if each.generation == self.generation]
        if whole_prefix and tags:
            tags = [tag for tag in self._unacked if tag <= max(tags)]
        for tag in tags:
            del self._unacked[tag]

    def make_room(self, queue: str, held: int) -> None:
        """Take more of a queue at a time."""
        if held >= self._room[queue] - self._prefetch[queue] / 2:
            self._room[queue] += self._prefetch[queue]

    def hold(self, queues: Collection[str]) -> None:
        """Nothing of these is taken."""
        self._require()
        self._held = frozenset(queues)

    def stop_consuming(self) -> None:
        """Nothing is under way here, ever."""
        self._require()
        self.stopped = True

    def close(self) -> None:
        """Give back, in front and in order, what is unacknowledged."""
        self.lose()

    def lose(self, *, unheard: bool = False) -> None:
        """The connection breaks: the broker has everything back at once. `unheard`: the worker does not know yet; what
        it says leads nowhere, until it is lost again."""
        for delivery, count in reversed(self._unacked.values()):
            self._broker.give_back(delivery, count + 1)
        self._unacked.clear()
        self._lost, self._deaf = not unheard, unheard

    def _require(self) -> None:
        if self._broker.down or self._lost:
            raise BrokerUnavailable("the broker is down")

    def _taken(self) -> list[Delivery]:
        found: list[Delivery] = []
        in_hand = Counter(each.queue for each, _ in self._unacked.values())
        for queue, room in self._room.items():
            waiting = self._broker.queues[queue]
            while not (self.stopped or self._deaf or queue in self._held) and waiting and in_hand[queue] < room:
                delivery, count = waiting.popleft()
                in_hand[queue] += 1
                self._tag += 1
                self._unacked[self._tag] = (delivery, count)
                found.append(_delivered(delivery, self._tag, self.generation, count))
        return found


class MemoryOutbox:
    """An Outbox that leads back into its MemoryBroker."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def reply(self, verdicts: Iterable[tuple[Delivery, Verdict]]) -> bool:
        """Note what is told to whom."""
        told = [(each.correlation_id, verdict) for each, verdict in verdicts if each.reply_to and each.correlation_id]
        if self._broker.down or self._broker.blocked:
            return not told
        self._broker.replies += told
        return True

    def listening(self, reply_to: str) -> bool:
        """Whoever waits is there as long as the broker is."""
        return not self._broker.down and reply_to not in self._broker.strangers

    def quarantine(self, delivery: Delivery) -> None:
        """A new message in the quarantine queue."""
        self._broker.take()
        given_up = broker_death(getattr(delivery.properties, "headers", None) or {}).reason
        self._broker.put(_moved(delivery, QUARANTINE, {HEADER_GIVEN_UP: given_up} if delivery.queue == DEAD else {}))

    def park(self, delivery: Delivery, why: str) -> None:
        """A new message in the queue that nobody consumes."""
        self._broker.take()
        self._broker.put(msgspec.structs.replace(delivery, queue=PARKED, headers={HEADER_PARKED: why}))

    def delay(self, delivery: Delivery) -> None:
        """A new message, which `end_delay` brings back."""
        self._broker.take()
        retries = {HEADER_RETRIES: delivery.retries + 1}
        self._broker.delayed.append(_moved(delivery, KINDS[delivery.message.kind].queue, retries))

    def tick(self) -> None:
        """No heart beats here."""

    def close(self) -> None:
        """Nothing is open."""


def first_wins(candidate: Candidate, rows: Rows) -> Verdict:
    """An id is taken once, by its kind's first row with it."""
    kept = rows.get((candidate.kind, candidate.row[0]), candidate.row)
    path = f"/{candidate.kind}/{candidate.row[0]}"
    if kept is candidate.row:
        return Created(path, duplicate=(candidate.kind, candidate.row[0]) in rows)
    return Created(path, duplicate=True) if kept == candidate.row else Conflict({"id": "another one has it"})


@dataclass(slots=True)
class MemoryStore:
    """A Store of rows, by kind and id (every kind's first column), and of letters, by message."""

    rule: Rule = first_wins
    told: Callable[[Judged, Verdict], Verdict] = lambda _, verdict: verdict
    """What is said in the end: whether somebody waits may matter too."""
    fault: StoreUnavailable | None = None
    """The outage there is, if there is one."""
    torn: bool = False
    """The next commit succeeds, and its answer is lost."""
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    letters: list[tuple[bytes, Verdict]] = field(default_factory=list)
    commits: int = 0
    paused: list[Pause] = field(default_factory=list)

    def connect(self) -> None:
        """Nothing to do, but in an outage."""
        if self.fault is not None:
            raise self.fault

    def commit(self, items: Sequence[Judged]) -> list[Verdict]:
        """Rows and letters, all at once."""
        self.connect()
        rows, letters, verdicts = dict(self.rows), dict(self.letters), {}
        for item in sorted(items, key=_rank):
            verdict = verdicts[id(item)] = self.told(item, self._verdict(item, rows))
            if verdict.fate.row and isinstance(item.judgement, Candidate):
                rows.setdefault((item.judgement.kind, item.judgement.row[0]), item.judgement.row)
            if becomes_letter(verdict):
                letters[item.delivery.message.payload] = verdict
        self.rows, self.letters, self.commits = rows, list(letters.items()), self.commits + 1
        if self.torn:
            self.torn = False
            raise StoreUnavailable("the connection was lost at COMMIT")
        return [verdicts[id(item)] for item in items]

    def make_partitions(self) -> list[str]:
        """There are none."""
        self.connect()
        return []

    def fill_partition(self) -> None:
        """There are none."""
        self.connect()

    def prune_letters(self) -> Mapping[str, int]:
        """None is ever settled here."""
        self.connect()
        return {}

    def sum_drift(self) -> bool:
        """None is counted here."""
        self.connect()
        return False

    def count_late_runs(self, seconds: float) -> bool:
        """None is counted here."""
        self.connect()
        return False

    def pauses(self) -> list[Pause]:
        """None but those that are put here."""
        self.connect()
        return list(self.paused)

    def close(self) -> None:
        """Nothing is open."""

    def _verdict(self, item: Judged, rows: Rows) -> Verdict:
        judgement = item.judgement
        if not isinstance(judgement, Candidate):
            return judgement
        try:
            uuid.UUID(str(judgement.row[0]))
        except ValueError:
            return Invalid("database", "refused", {"id": "is no uuid"}, "22P02")
        return self.rule(judgement, rows)


def _rank(item: Judged) -> int:
    return KINDS[item.judgement.kind].rank if isinstance(item.judgement, Candidate) else 0


def _given_up(queue: str) -> Mapping[str, str]:
    return {"reason": "delivery_limit", "queue": queue}


def _moved(delivery: Delivery, queue: str, headers: Mapping[str, Any]) -> Delivery:
    """A new message: it has never come."""
    kept = {name: value for name, value in delivery.headers.items() if name != _COUNT}
    return msgspec.structs.replace(delivery, queue=queue, headers={**kept, **headers})


def _delivered(delivery: Delivery, tag: int, generation: int, count: int) -> Delivery:
    headers = {**delivery.headers, _COUNT: count} if count else delivery.headers
    return msgspec.structs.replace(delivery, tag=tag, generation=generation, headers=headers)
