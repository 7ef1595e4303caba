"""A worker process: database first, then broker; runs the pipeline until told to stop, through every outage."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pika
import structlog

from consumers.broker.connection import ENDURING, Patience, connect, parameters
from consumers.broker.declare import declare
from consumers.delivery import Committed, Judged
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.machines.holding import Holding
from consumers.runtime.exit_codes import EXIT_CONFIGURATION, EXIT_OK
from consumers.runtime.failpoints import Failpoint
from consumers.runtime.long_life import collect_rarely
from consumers.runtime.signals import SignalInbox, heed
from consumers.runtime.urls import Urls
from consumers.store.maintenance import Maintenance
from consumers.store.store import PostgresStore
from consumers.telemetry.reporter import Reporter
from consumers.telemetry.reports import ReportLine
from consumers.worker.batcher import Batcher
from consumers.worker.committer import Committer, backoff
from consumers.worker.guard import EXPECTED, FaultGuard
from consumers.worker.lanes import BY_NAME, Lane
from consumers.worker.outbox import AmqpOutbox
from consumers.worker.pipeline import Pipeline
from consumers.worker.source import AmqpSource
from schemas.settings import Settings
from schemas.validation.judge import Judge

MAX_INFLIGHT_BYTES = 16 * 1024 * 1024


LINGER_SECONDS = 0.008
"""How long a batch waits for as many messages as the last one had."""


class Worker:
    """One consumer process; `run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        lane: Lane,
        version: str,
        failpoint: Failpoint,
        *,
        reporter: Reporter | None = None,
        observe: Callable[[Committed], None] = lambda _: None,
        signals: SignalInbox | None = None,
        reread: Callable[[], Settings] | None = None,
    ) -> None:
        self._settings = settings
        self._urls = Urls(settings, reread)
        self._has_worked = False
        self._signals = signals
        self._reporter = reporter or Reporter(lane.name)
        self._observe = observe
        self._lane = lane
        self._failpoint = failpoint
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._parent = os.getppid()
        self._name = f"chef-ingest {lane.name} {socket.gethostname()}:{os.getpid()}"
        self._store = PostgresStore(settings, version, failpoint, self._urls)
        self._judge = Judge.from_settings(settings)
        self._generation = 0
        self._guard = FaultGuard(self._reporter.fault)
        self._log = structlog.get_logger().bind(worker=os.getpid(), lane=lane.name)
        self._maintenance = Maintenance(self._store, self._log)
        self._holding = Holding(self._store, lane.queues, socket.gethostname(), self._log)

    def _stopping(self) -> bool:
        # A worker whose supervisor was killed must not work on, unseen.
        return self._stop.is_set() or os.getppid() != self._parent

    def stop(self) -> None:
        """Drain and return from `run`; safe in a signal handler and called twice."""
        self._stop.set()

    def hurry(self) -> None:
        """Finish the commit under way, give the rest back, and return from `run`; safe in a signal handler."""
        self._hurry.set()
        self._stop.set()

    def run(self) -> int:
        """Work until `stop`; the exit code. 78 means that a person has to change something."""
        attempt = 0
        for kind, door in self._judge.slow:
            self._log.warning("fast path off", kind=kind, door=door, why="its schema says more than can be compiled")
        while not self._stopping():
            began = time.monotonic()
            try:
                self._guarded_session()
            except (BrokerUnavailable, StoreUnavailable, Misconfigured) as error:
                if isinstance(error, Misconfigured) and not self._has_worked:
                    self._log.error("stopped: configuration", why=str(error))
                    return EXIT_CONFIGURATION
                # What worked a moment ago is waited for: an account, a password, a right may come back.
                attempt = 1 if time.monotonic() - began > 30 else attempt + 1
                if not self._stop.is_set():
                    pause = backoff(attempt)
                    self._log.warning("waiting", why=str(error), seconds=round(pause, 2))
                    if isinstance(error, StoreUnavailable):
                        self._reporter.error(error)
                    self._wait(pause, str(error))
        self._store.close()
        self._log.info("stopped")
        return EXIT_OK

    def _wait(self, seconds: float, why: str) -> None:
        """Outside, for an outage to end; whoever waits is alive, and says so all the while."""
        until = time.monotonic() + seconds
        self._reporter.state("waiting", why)
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._stop.wait(min(left, 1.0))
            self._reporter.tick(0)

    def _guarded_session(self) -> None:
        try:
            self._session()
        except EXPECTED:
            raise
        except Exception as error:
            # Nobody's in particular: what was in hand comes again, and what does it again is a suspect then.
            self._guard.fault("a session", error)
            raise BrokerUnavailable(f"begins afresh after a fault: {error!r}"[:300]) from error

    def _session(self) -> None:
        """One stretch with a database and a broker."""
        self._store.connect()
        self._holding.look()
        source = self._open()
        outbox = AmqpOutbox(lambda: self._connect(ENDURING), self._reporter.dropped)
        committer = Committer(self._store, source.wake, time.monotonic, self._reporter.error, guard=self._guard)
        self._log.info("consuming", queues=sorted(self._lane.queues))
        self._has_worked = True
        try:
            self._reporter.state("consuming")
            pipeline = self._pipeline(source, outbox, committer)
            pipeline.run(self._stopping, maintain=lambda: self._maintain(source), hurrying=self._hurry.is_set)
        finally:
            committer.close()
            outbox.close()
            source.close()

    def _maintain(self, source: AmqpSource) -> None:
        self._holding.step(source)
        self._maintenance.step()

    def _open(self) -> AmqpSource:
        """The topology declared, and its queues consumed, on the first host that takes us."""
        settings = self._settings
        connection = self._connect()
        unsure = declare(connection)
        connection.close()
        if unsure:
            self._log.info("not ours to declare, and there", seen=unsure)
        self._generation += 1
        amqp_url = self._urls.known("amqp_url")
        hosts = parameters(amqp_url, heartbeat=settings.heartbeat_seconds, name=self._name)
        for host in hosts[:-1]:
            with contextlib.suppress(BrokerUnavailable):
                return self._source(host)
        return self._source(hosts[-1])

    def _source(self, host: pika.URLParameters) -> AmqpSource:
        return AmqpSource(host, self._lane.queues, self._generation, self._signals, self._holding.held.keys())

    def _pipeline(self, source: AmqpSource, outbox: AmqpOutbox, committer: Committer) -> Pipeline:
        settings = self._settings
        return Pipeline(
            source=source,
            judge=self._judge,
            batcher=Batcher[Judged](
                self._lane.batch_messages, settings.batch_bytes, settings.batch_age_seconds, LINGER_SECONDS
            ),
            committer=committer,
            outbox=outbox,
            failpoint=self._failpoint,
            clock=time.monotonic,
            max_bytes=MAX_INFLIGHT_BYTES,
            heartbeat=settings.heartbeat_seconds,
            drain_seconds=settings.drain_seconds,
            guard=self._guard,
            observe=self._observed,
            tick=lambda inflight, why: self._tick(inflight, committer.paused, why),
        )

    def _observed(self, committed: Committed) -> None:
        self._reporter.observe(committed)
        self._observe(committed)

    def _tick(self, inflight: int, paused: str, why: str) -> None:
        if self._stop.is_set():
            self._reporter.state("draining")
        why = "; ".join(each for each in (why, self._holding.why) if each)
        self._reporter.tick(inflight, paused, why, resting=self._holding.resting)

    def _connect(self, patience: Patience | None = None) -> Any:
        heartbeat = self._settings.heartbeat_seconds
        return self._urls.dial(
            "amqp_url", lambda url: connect(url, heartbeat=heartbeat, name=self._name, patience=patience)
        )


def run_worker(
    settings: Settings,
    lane: str,
    version: str,
    failpoint: Failpoint,
    *,
    report_fd: int | None = None,
    observe: Callable[[Committed], None] = lambda _: None,
    reread: Callable[[], Settings] | None = None,
) -> int:
    """A worker in this process: SIGTERM drains it, SIGINT and SIGQUIT hurry it; its exit code.

    `report_fd` is the supervisor's line, inherited from it. `reread` reads the configuration anew.
    """
    reporter = Reporter(lane) if report_fd is None else Reporter(lane, ReportLine(report_fd).send)
    # A loop that sleeps is woken, and need not sleep to its end before it sees that it is to stop.
    signals = SignalInbox(())
    worker = Worker(
        settings,
        BY_NAME[lane](settings),
        version,
        failpoint,
        reporter=reporter,
        observe=observe,
        signals=signals,
        reread=reread,
    )
    heed([signal.SIGTERM], lambda _: worker.stop())
    heed([signal.SIGINT, signal.SIGQUIT], lambda _: worker.hurry())
    # A closing terminal tells the whole group; our supervisor decides what it means.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    collect_rarely()
    # The commit thread waits for the network dozens of times a batch, and each time for its turn after that.
    sys.setswitchinterval(0.001)
    return worker.run()
