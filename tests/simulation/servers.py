"""Broker and database as a worker meets them: what `worker/memory` keeps, with the trouble that the seed draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from consumers.broker.publisher import NeverTaken, NotTaken
from consumers.delivery import Delivery, Judged, hears, is_patient
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.store.bound import SPARE_SECONDS
from consumers.worker.memory import MemoryBroker, MemoryOutbox, MemorySource, MemoryStore, Rows, first_wins
from schemas.topology import DELAY_SECONDS
from schemas.validation.judge import Candidate
from schemas.verdict import DuringRun, UnknownRun, Unstorable, Verdict, WaitsForRun, becomes_letter, without_letter
from simulation.clockwork import Clockwork, Killed

PATIENCE_SECONDS = 60

Say = Callable[[str, str], None]


@dataclass(slots=True)
class Trouble:
    """How likely each thing is to go wrong, each time it could; drawn for a history, and over at its end."""

    random: Random
    over: bool = False
    met: set[str] = field(default_factory=set)
    """What has gone wrong, at least once."""
    likely: dict[str, float] = field(default_factory=dict)

    def strikes(self, what: str) -> bool:
        """Whether it does, this time."""
        chance = self.likely.get(what, 0.0)
        struck = chance > 0 and not self.over and self.random.random() < chance
        if struck:
            self.met.add(what)
        return struck


class Owner(Protocol):
    """The worker that stands on the servers."""

    name: str

    def moment(self, name: str, *, others: bool = True) -> None:
        """It may die here, or others go on first."""
        ...

    def sleep(self, seconds: float) -> None: ...
    def wake(self) -> None: ...


def run_rule(candidate: Candidate, rows: Rows) -> Verdict:
    """What was posted during a known run is skipped, a run's end needs its start, and of an id the first one stays."""
    id_, _, run = candidate.row
    if candidate.kind == "action" and ("run_start", run) in rows:
        return DuringRun("run_id", run)
    if candidate.kind == "run_end" and ("run_start", id_) not in rows:
        return UnknownRun(id_, "nobody started it")
    return first_wins(candidate, rows)


class Database:
    """The one store of all workers, and what its ledger counts."""

    def __init__(self, clock: Clockwork, *, most_letters: int) -> None:
        self._clock, self._most_letters = clock, most_letters
        self.kept = MemoryStore(rule=run_rule, told=self._told)
        self.skipped: set[bytes] = set()

    def commit(self, items: Sequence[Judged]) -> list[Verdict]:
        """As it is without trouble. Raises RuntimeError over what our own code can't store."""
        for item in items:
            payload = item.delivery.message.payload
            breaks = payload.startswith(b"broken") and isinstance(item.judgement, Candidate)
            if breaks or payload.startswith(b"unkept"):
                raise RuntimeError("can't be stored")
        said = self.kept.commit(items)
        pairs = zip(items, said, strict=True)
        self.skipped.update(item.delivery.message.payload for item, each in pairs if isinstance(each, DuringRun))
        return said

    def letter(self, payload: bytes) -> Unstorable | None:
        """The letter of a message."""
        return next((verdict for kept, verdict in self.kept.letters if kept == payload), None)

    def _told(self, item: Judged, verdict: Verdict) -> Verdict:
        """As the real one's: a run end that nobody waits for waits, and beyond the bound the sender's answer is all."""
        delivery, now = item.delivery, self._clock.now
        if isinstance(verdict, UnknownRun) and is_patient(delivery, now, PATIENCE_SECONDS):
            return WaitsForRun(verdict.run_id, verdict.text)
        full = len(self.kept.letters) >= self._most_letters
        if becomes_letter(verdict) and full and self.letter(delivery.message.payload) is None:
            return without_letter(verdict, "no letter kept") if hears(delivery, now, SPARE_SECONDS) else verdict
        return verdict


class WorkersStore:
    """A worker's own way to the database: commits are refused, or their answer is lost, stored or not."""

    def __init__(self, database: Database, owner: Owner, trouble: Trouble, say: Say) -> None:
        self._database, self._owner, self._trouble = database, owner, trouble
        self._say = say

    def connect(self) -> None:
        if self._trouble.strikes("misconfigured"):
            raise Misconfigured("a right was taken away")
        self._database.kept.connect()

    def commit(self, items: Sequence[Judged]) -> list[Verdict]:
        if self._trouble.strikes("dies before commit"):
            raise Killed
        if self._trouble.strikes("misconfigured"):
            raise Misconfigured("a right was taken away")
        if self._trouble.strikes("refused commit"):
            raise StoreUnavailable("deadlock detected")
        if self._trouble.strikes("lost commit"):
            raise StoreUnavailable("the connection was lost at COMMIT")
        self._database.kept.torn = self._trouble.strikes("torn commit")
        said = self._database.commit(items)
        told = ", ".join(
            f"{item.delivery.message.payload.decode()}: {each.fate.name}"
            for item, each in zip(items, said, strict=True)
        )
        self._say(self._owner.name, f"commits {told}")
        if self._trouble.strikes("dies after commit"):
            raise Killed
        return said

    def make_partitions(self) -> list[str]:
        return []

    def fill_partition(self) -> None:
        return None

    def prune_letters(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        """Another one connects as soon as it is used."""


class WorkersSource(MemorySource):
    """A worker's connection to its queues; before and after each acknowledgement it may die."""

    def __init__(
        self, broker: MemoryBroker, queues: Mapping[str, int], generation: int, owner: Owner, say: Say
    ) -> None:
        super().__init__(broker, queues, generation, owner.sleep, owner.wake)
        self._owner, self._say = owner, say

    def poll(self, timeout: float) -> list[Delivery]:
        found = super().poll(timeout)
        if found:
            told = ", ".join(f"{each.message.payload.decode()} ({each.queue}, {each.deliveries})" for each in found)
            self._say(self._owner.name, f"takes {told}")
        return found

    def acknowledge(self, deliveries: Iterable[Delivery], *, whole_prefix: bool) -> None:
        deliveries = list(deliveries)
        self._owner.moment("before ack")
        heard = "" if self.in_hand else ", unheard"
        told = ", ".join(each.message.payload.decode() for each in deliveries)
        super().acknowledge(deliveries, whole_prefix=whole_prefix)
        if deliveries:
            self._say(self._owner.name, f"acks {told}{' and all before' if whole_prefix else ''}{heard}")
        self._owner.moment("after ack")


class WorkersOutbox(MemoryOutbox):
    """A worker's publishing connection: answers are lost, moves refused, or taken and not confirmed."""

    def __init__(self, broker: MemoryBroker, owner: Owner, trouble: Trouble, clock: Clockwork, say: Say) -> None:
        super().__init__(broker)
        self._owner, self._trouble, self._clock, self._say = owner, trouble, clock, say

    def reply(self, verdicts: Iterable[tuple[Delivery, Verdict]]) -> bool:
        verdicts = list(verdicts)
        # Whoever is there is asked before: nobody leaves in between.
        self._owner.moment("before reply", others=False)
        if self._trouble.strikes("lost reply"):
            super().reply(verdicts[: len(verdicts) // 2])
            return False
        return super().reply(verdicts)

    def quarantine(self, delivery: Delivery) -> None:
        self._moves(delivery, "quarantine", lambda: super(WorkersOutbox, self).quarantine(delivery))

    def park(self, delivery: Delivery, why: str) -> None:
        self._moves(delivery, "parked", lambda: super(WorkersOutbox, self).park(delivery, why))

    def delay(self, delivery: Delivery) -> None:
        self._moves(delivery, "delay", lambda: super(WorkersOutbox, self).delay(delivery))
        self._clock.at(DELAY_SECONDS, self._broker.end_delay)

    def _moves(self, delivery: Delivery, where: str, move: Callable[[], None]) -> None:
        self._owner.moment("before move")
        if where != "parked" and delivery.message.payload.startswith(b"immovable"):
            raise NeverTaken("too large")
        if self._trouble.strikes("refused move"):
            raise NotTaken("the queue is full")
        move()
        self._say(self._owner.name, f"moves {delivery.message.payload.decode()} to {where}")
        if self._trouble.strikes("unconfirmed move"):
            if where == "delay":
                self._clock.at(DELAY_SECONDS, self._broker.end_delay)
            raise BrokerUnavailable("no confirm")
        self._owner.moment("after move")
