"""One history: drawn from its seed, played to its end, and accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from consumers.worker.memory import MemoryBroker
from consumers.worker.pipeline import Pipeline
from schemas.topology import ACTIONS, DEAD, QUARANTINE, RUNS
from schemas.verdict import Verdict, is_told
from simulation import account
from simulation.clockwork import Clockwork
from simulation.harms import LIKELY, Harms
from simulation.messages import Drawn, Sent
from simulation.servers import Database, Trouble
from simulation.workers import Worker, World

HARMFUL_SECONDS = 20.0
"""In this time everything is sent, and all harm is done."""

REST_SECONDS = 600.0
"""By then every message must have come to its end, with all well again."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a history came to: its faults, none where all is as promised, and everything that happened."""

    seed: int
    faults: list[str]
    trace: list[str]
    met: set[str]
    """The harms and the trouble that were in it."""


class Shims(list[tuple[str, Verdict]]):
    """Where answers arrive; `heard` is told of each at once."""

    def __init__(self, heard: Callable[[str, Verdict], None]) -> None:
        super().__init__()
        self._heard = heard

    def __iadd__(self, answers: Any) -> Shims:  # type: ignore[misc]
        for correlation_id, verdict in answers:
            self._heard(correlation_id, verdict)
        return self


def play(seed: int, pipeline: Callable[..., Pipeline] = Pipeline) -> Played:
    """The history of a seed, always the same one."""
    history = History(seed, pipeline)
    with logs_told(history.say):
        return history.play()


@contextmanager
def logs_told(say: Callable[[str, str], None]) -> Iterator[None]:
    """What the product logs is part of the trace."""

    def told(_: Any, level: str, event: dict[str, Any]) -> None:
        if level != "info":
            facts = ", ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
            say("", f"log: {event['event']} {facts}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[told], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


class History:
    """Everything in it is drawn from `random`, in one order."""

    def __init__(self, seed: int, pipeline: Callable[..., Pipeline]) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self.faults: list[str] = []
        self.random = Random(seed)
        self.clock = Clockwork(self.random)
        self._sent: dict[str, Sent] = {}
        self._told: set[bytes] = set()
        self._expected = 0
        likely = {what: chance for what, chance in LIKELY.items() if self.random.random() < 0.3}
        trouble = Trouble(self.random, likely=likely)
        self._database = Database(self.clock, most_letters=self.random.choice((0, 2, 1000)))
        self._broker = MemoryBroker()
        self._broker.replies = Shims(self._heard)
        self._world = World(self.random, self.clock, self._broker, self._database, trouble, self.say, pipeline)

    def say(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.clock.now:9.3f}  {who:<10} {what}")

    def play(self) -> Played:
        """To the end."""
        workers = self._workers()
        harms = Harms(self._world, workers)
        messages = Drawn(self.random).some(15)
        self._expected = len(messages)
        busy_seconds = self.random.choice((0.1, 2.0, HARMFUL_SECONDS))
        for each in messages:
            self.clock.at(self.random.uniform(0, busy_seconds), self._publishing(each, workers))
        for _ in range(self.random.randint(0, 6)):
            self.clock.at(self.random.uniform(0, HARMFUL_SECONDS), harms.one)
        self.clock.at(HARMFUL_SECONDS, harms.over)
        try:
            self.clock.run(lambda: self._at_rest(workers), REST_SECONDS)
            self.faults += self.clock.failures
        finally:
            self.clock.stop()
        queues = {name: [each.message.payload for each, _ in left] for name, left in self._broker.queues.items()}
        queues["hand"] = ["?"] * sum(each.in_hand for each in workers)
        self.faults += account.faults(self._sent.values(), self._told, self._database, queues)
        return Played(self.seed, self.faults, self.trace, self._world.trouble.met)

    def _workers(self) -> list[Worker]:
        batch = self.random.randint(1, 6)
        prefetch = batch * self.random.randint(1, 3)
        queues = dict.fromkeys((ACTIONS, RUNS, DEAD), prefetch)
        crowd = [Worker(self._world, f"worker {n}", queues, batch) for n in range(self.random.randint(1, 3))]
        return [*crowd, Worker(self._world, "quarantine", {QUARANTINE: 1}, 1)]

    def _publishing(self, sent: Sent, workers: list[Worker]) -> Callable[[], None]:
        def publish() -> None:
            if self._broker.down or self._broker.blocked:
                # Its sender is told 503, and sends it again.
                self.clock.at(self.random.uniform(0.5, 1.5), publish)
                return
            self._sent[sent.correlation_id] = sent
            self.say("sender", f"sends {sent.payload.decode()}{', and waits' if sent.waits else ''}")
            self._broker.put(sent.delivery(self.clock.now))
            for each in workers:
                each.wake()

        return publish

    def _heard(self, correlation_id: str, verdict: Verdict) -> None:
        sent = self._sent[correlation_id]
        self.say("shim", f"hears {verdict.code} of {sent.payload.decode()}")
        if fault := account.untrue(sent, verdict, self._database):
            self.faults.append(f"{sent.payload.decode()} was answered {fault}")
        if is_told(verdict):
            self._told.add(sent.payload)

    def _at_rest(self, workers: list[Worker]) -> bool:
        return (
            self.clock.now > HARMFUL_SECONDS
            and len(self._sent) == self._expected
            and not self._broker.delayed
            and not any(each.in_hand for each in workers)
            and not any(self._broker.queues[queue] for queue in (ACTIONS, RUNS, DEAD, QUARANTINE))
        )
