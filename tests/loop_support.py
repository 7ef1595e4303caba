"""The worker's loop in a world of plain values, where time passes only while the loop sleeps."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future

from pika.spec import BasicProperties

from consumers.delivery import Committed, Delivery, Judged
from consumers.runtime.failpoints import Failpoint
from consumers.worker.batcher import Batcher
from consumers.worker.committer import Committer
from consumers.worker.memory import MemoryBroker, MemoryOutbox, MemorySource, MemoryStore
from consumers.worker.pipeline import Pipeline
from schemas.message import Message
from schemas.topology import ACTIONS, DEAD, RUNS
from schemas.validation.judge import Candidate
from schemas.verdict import Invalid

COMMIT_SECONDS = 0.01


def new_id():
    return "0" + str(uuid.uuid4())[1:]  # One id in four thousand would begin with bad.


def delivery(payload=None, queue=ACTIONS, kind="action", waits=False, properties=None):
    """A message in a queue; its payload is its id."""
    reply_to, correlation_id = ("shim", payload) if waits else (None, None)
    message = Message(kind, (payload or new_id()).encode(), "http")
    properties = properties or BasicProperties()
    return Delivery(message, 0, 0, queue, "ingest", kind, reply_to, correlation_id, properties=properties)


def judge(message):
    """Whatever starts with `bad` is invalid."""
    if message.payload.startswith(b"bad"):
        return Invalid("schema", "schema", {"id": "is bad"})
    return Candidate(message.kind, (message.payload.decode(),))


class ByHand(Executor):
    """An executor that works when it is told to."""

    def __init__(self):
        self.work = []

    def submit(self, function, /, *arguments):
        future = Future()
        self.work.append((future, function, arguments))
        return future

    def do(self):
        future, function, arguments = self.work.pop(0)
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    def shutdown(self, wait=True, *, cancel_futures=False):
        if wait:
            while self.work:
                self.do()


class PatientCommitter(Committer):
    """Waits in the world's time."""

    sleep: Callable[[float], None]

    def wait(self, timeout):
        self.sleep(timeout)


class World:
    """A broker, a database, a clock, and one worker at a time.

    `on_sleep` is called, with the number of the sleep, each time before the loop sleeps; to stop, set `stopping`.
    """

    def __init__(self, prefetch=20, batch=5, max_bytes=10**6, drain_seconds=30.0, heartbeat=30.0):
        self.broker = MemoryBroker()
        self.store = MemoryStore()
        self.queues = [ACTIONS, RUNS, DEAD]
        self.outbox = MemoryOutbox(self.broker)
        self.prefetch, self.batch, self.max_bytes = prefetch, batch, max_bytes
        self.drain_seconds, self.heartbeat = drain_seconds, heartbeat
        self.now = 0.0
        self.sleeps = 0
        self.generation = 0
        self.stopping = self.hurrying = False
        self.slow_commits = False
        """A commit that is under way does not end by itself."""
        self.on_sleep = lambda number: None
        self.committed: list[Committed] = []
        self.ticks: list[tuple[int, str]] = []

    def put(self, count, **options):
        """Messages in the queue; their payloads."""
        sent = [delivery(**options) for _ in range(count)]
        for each in sent:
            self.broker.put(each)
        return [each.message.payload for each in sent]

    def sleep(self, seconds):
        self.sleeps += 1
        self.on_sleep(self.sleeps)
        if self.executor.work and not self.slow_commits:
            self.now += COMMIT_SECONDS
            self.executor.do()
        else:
            self.now += max(seconds, 0.001)

    def open(self):
        """A worker's session, ready to run."""
        self.generation += 1
        self.executor = ByHand()
        queues = dict.fromkeys(self.queues, self.prefetch)
        self.source = MemorySource(self.broker, queues, self.generation, self.sleep)
        self.committer = PatientCommitter(
            self.store,
            self.source.wake,
            lambda: self.now,
            executor=self.executor,
            pause=lambda tries: min(10, 0.1 * tries),
        )
        self.committer.sleep = self.sleep
        return Pipeline(
            source=self.source,
            judge=judge,
            batcher=Batcher[Judged](self.batch, 10**6, 1.0, 0.008),
            committer=self.committer,
            outbox=self.outbox,
            failpoint=Failpoint(),
            clock=lambda: self.now,
            wall=lambda: self.now,
            max_bytes=self.max_bytes,
            heartbeat=self.heartbeat,
            drain_seconds=self.drain_seconds,
            observe=self.committed.append,
            tick=lambda inflight, why: self.ticks.append((inflight, why)),
        )

    def run(self, pipeline=None):
        """One session, to its end; what is in hand goes back then."""
        pipeline = pipeline or self.open()
        try:
            pipeline.run(lambda: self.stopping, maintain=lambda: None, hurrying=lambda: self.hurrying)
        finally:
            self.executor.work.clear()
            self.source.close()

    def run_until(self, done, most=20_000):
        """One session that is stopped once `done` says so."""

        def check(number):
            assert number - began < most, "never done"
            self.stopping = self.stopping or done()

        began, self.stopping, self.on_sleep = self.sleeps, False, check
        self.run()

    def stored(self):
        """The payloads of the rows."""
        return {id_.encode() for _, id_ in self.store.rows}

    def waiting(self, queue=ACTIONS):
        """The payloads in a queue, with their counts."""
        return [(each.message.payload, count) for each, count in self.broker.queues[queue]]
