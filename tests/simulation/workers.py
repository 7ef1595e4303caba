"""Worker processes as the supervisor keeps them: sessions one after another, killed, drained and started again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from random import Random
from typing import Any

from consumers.delivery import Judged
from consumers.errors import BrokerUnavailable
from consumers.worker.batcher import Batcher
from consumers.worker.committer import Committer
from consumers.worker.guard import EXPECTED
from consumers.worker.memory import MemoryBroker
from consumers.worker.pipeline import Pipeline
from simulation.clockwork import Clockwork, Killed, Task
from simulation.messages import judge
from simulation.servers import Database, Say, Trouble, WorkersOutbox, WorkersSource, WorkersStore


@dataclass(frozen=True, slots=True)
class World:
    """What all workers of a history share."""

    random: Random
    clock: Clockwork
    broker: MemoryBroker
    database: Database
    trouble: Trouble
    say: Say
    pipeline: Callable[..., Pipeline]


class Backend(Executor):
    """The database's side of a commit: it ends in its own time, whatever becomes of the worker meanwhile."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._busy = 0

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        world, task = self._worker.world, self._worker.task
        seconds = world.random.uniform(0.001, 6.0 if world.trouble.strikes("slow commit") else 0.05)
        self._busy += 1
        world.clock.at(seconds, lambda: self._do(task, future, lambda: function(*arguments)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        while wait and self._busy:
            self._worker.sleep(0.01)

    def _do(self, task: Task, future: Future[Any], function: Callable[[], Any]) -> None:
        self._busy -= 1
        # Of one that is dead the request is on its way, or it never was.
        if not task.alive and self._worker.world.random.random() < 0.5:
            return
        try:
            said = function()
        except Killed:
            task.kill()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(said)


class TimedCommitter(Committer):
    """Waits in virtual time."""

    sleep: Callable[[float], None]

    def wait(self, timeout: float) -> None:
        self.sleep(timeout)


class Moments:
    """The failpoints of the loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def reach(self, moment: str, payload: bytes = b"") -> None:
        if moment == "letter" and payload.startswith(b"deadly letter"):
            raise Killed
        self._worker.moment(moment)


class Worker:
    """One place for a worker process; whoever dies there is followed by another."""

    task: Task

    def __init__(self, world: World, name: str, queues: Mapping[str, int], batch: int) -> None:
        self.world, self.name = world, name
        self._queues, self._batch = queues, batch
        self._generation = 0
        self.source: WorkersSource | None = None
        self._sources: list[WorkersSource] = []
        self.start()

    @property
    def in_hand(self) -> int:
        """How many deliveries it has, or had when it died, that the broker does not have back."""
        return sum(each.in_hand for each in self._sources)

    def start(self) -> None:
        """The next process."""
        self.stopping = self.hurrying = False
        self.task = self.world.clock.spawn(self.name, self._live, self._ended)
        self.world.say(self.name, "starts")

    def stop(self, *, hurry: bool) -> None:
        """SIGTERM, or SIGINT."""
        self.stopping, self.hurrying = True, hurry
        self.task.wake()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, for so long; the broker gives up on it meanwhile, as its heartbeats stay away."""
        self.task.frozen_until = self.world.clock.now + seconds
        if self.source is not None:
            self.source.lose()

    # What its servers call.

    def moment(self, name: str, *, others: bool = True) -> None:
        if self.world.trouble.strikes("dies at a moment"):
            self.world.say(self.name, f"dies at {name}")
            raise Killed
        if others and self.world.trouble.strikes("others first"):
            self.sleep(self.world.random.uniform(0, 0.2))

    def sleep(self, seconds: float) -> None:
        self.task.sleep(seconds)

    def wake(self) -> None:
        self.task.wake()

    def _live(self) -> None:
        attempt = 0
        while not self.stopping:
            try:
                self._session()
            except EXPECTED as error:
                attempt += 1
                self.world.say(self.name, f"waits: {error}")
                if not self.stopping:
                    self.sleep(self.world.random.uniform(0.05, min(10.0, 0.2 * 2.0**attempt)))

    def _session(self) -> None:
        world, trouble = self.world, self.world.trouble
        store = WorkersStore(world.database, self, trouble, world.say)
        store.connect()
        if world.broker.down:
            raise BrokerUnavailable("refused")
        self._generation += 1
        self.source = source = WorkersSource(world.broker, self._queues, self._generation, self, world.say)
        self._sources.append(source)
        outbox = WorkersOutbox(world.broker, self, trouble, world.clock, world.say)
        committer = TimedCommitter(
            store,
            source.wake,
            lambda: world.clock.now,
            executor=Backend(self),
            pause=lambda tries: world.random.uniform(0.05, min(10.0, 0.2 * 2.0**tries)),
        )
        committer.sleep = self.sleep
        try:
            pipeline = self._pipeline(source, outbox, committer)
            pipeline.run(lambda: self.stopping, maintain=lambda: None, hurrying=lambda: self.hurrying)
        except Killed:
            raise
        except EXPECTED:
            self._leave(committer, source)
            raise
        self._leave(committer, source)

    def _pipeline(self, source: WorkersSource, outbox: WorkersOutbox, committer: Committer) -> Pipeline:
        return self.world.pipeline(
            source=source,
            judge=judge,
            batcher=Batcher[Judged](self._batch, 10**6, 1.0, 0.008),
            committer=committer,
            outbox=outbox,
            failpoint=Moments(self),
            clock=lambda: self.world.clock.now,
            wall=lambda: self.world.clock.now,
            max_bytes=500,
            heartbeat=30.0,
            drain_seconds=5.0,
        )

    def _leave(self, committer: Committer, source: WorkersSource) -> None:
        committer.close()
        source.close()

    def _ended(self, killed: bool) -> None:
        world, source = self.world, self.source
        world.say(self.name, "is dead" if killed else "has drained")
        if killed and source is not None:
            # The broker notices when the connection closes, or its heartbeats stay away.
            world.clock.at(world.random.uniform(0.0, 2.0), source.lose)
        world.clock.at(world.random.uniform(0.1, 3.0), self.start)
