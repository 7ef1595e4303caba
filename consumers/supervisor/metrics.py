"""The supervisor's Prometheus metrics: what its workers report, summed, and what it sees around it."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from consumers.machines.pauses import PAUSABLE
from consumers.supervisor.monitor import Monitor
from consumers.supervisor.pool import Pool
from consumers.supervisor.slot import Death
from consumers.telemetry.reports import Report
from schemas import labels
from schemas.verdict import OUTCOMES

_BATCH_SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_AGES: Final = (1, 2, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 21600, 86400)


class Metrics:
    """Counters and histograms, on a registry of their own, fed by `record`."""

    def __init__(self, version: str) -> None:
        self.registry = here = CollectorRegistry()
        build = Gauge("chef_ingest_build_info", "Always 1; the version is in the label.", ["version"], registry=here)
        build.labels(version).set(1)
        self._messages = Counter(
            "chef_ingest_messages", "Messages committed, by what became of them.", ["outcome"], registry=here
        )
        self._batches = Histogram(
            "chef_ingest_batch_messages", "Messages committed together.", buckets=_BATCH_SIZES, registry=here
        )
        self._bytes = Counter("chef_ingest_payload_bytes", "Payload bytes committed.", registry=here)
        self._flush = Histogram(
            "chef_ingest_batch_flush_seconds",
            "Time to commit a batch, outages sat out included, by what flushed it.",
            ["trigger"],
            buckets=_SECONDS,
            registry=here,
        )
        self._ages = Histogram(
            "chef_ingest_message_age_seconds",
            "Time from publish to commit, of messages that say when they were published.",
            buckets=_AGES,
            registry=here,
        )
        self._errors = Counter(
            "chef_ingest_database_errors", "Database errors, by class of SQLSTATE.", ["sqlstate_class"], registry=here
        )
        self._faults = Counter(
            "chef_ingest_worker_faults",
            "Faults of our own code over one delivery, which became a letter; by what was being done.",
            ["doing"],
            registry=here,
        )
        self._dropped = Counter(
            "chef_ingest_answers_dropped",
            "Answers known not to have reached a shim that waits, whose client hears 202; by why.",
            ["reason"],
            registry=here,
        )
        self._door_mismatches = Counter(
            "chef_ingest_door_mismatches",
            "Runs of which two doors told of different nodes or organizations; what came first stays.",
            registry=here,
        )
        self._drift = Counter(
            "chef_ingest_drift",
            "Messages with a member that is otherwise than documented; `chef-ingest drift` has examples.",
            ["kind", "member", "difference"],
            registry=here,
        )
        self._deaths = Counter(
            "chef_ingest_worker_deaths", "Workers that died by themselves, by how.", ["lane", "cause"], registry=here
        )
        self._last_commit = Gauge(
            "chef_ingest_last_commit_timestamp_seconds", "When a batch was last committed, as UNIX time.", registry=here
        )
        for outcome in OUTCOMES:
            self._messages.labels(outcome)
        for trigger in labels.TRIGGERS:
            self._flush.labels(trigger)
        # A rate needs a zero to rise from.
        for sqlstate_class in labels.SQLSTATE_CLASSES:
            self._errors.labels(sqlstate_class)
        for doing in labels.DOINGS:
            self._faults.labels(doing)
        for reason in labels.ANSWER_LOSSES:
            self._dropped.labels(reason)
        for lane in labels.LANES:
            for cause in labels.DEATH_CAUSES:
                self._deaths.labels(lane, cause)

    def record(self, report: Report) -> None:
        """Add what a worker reports."""
        for outcome, count in report.outcomes.items():
            self._messages.labels(outcome).inc(count)
        for batch in report.batches:
            self._batches.observe(batch.messages)
            self._bytes.inc(batch.bytes)
            self._flush.labels(batch.trigger).observe(batch.seconds)
        for age, count in report.ages.items():
            _observe_many(self._ages, age, count)
        for sqlstate_class, count in report.errors.items():
            self._errors.labels(sqlstate_class).inc(count)
        for doing, count in report.faults.items():
            self._faults.labels(doing).inc(count)
        for reason, count in report.dropped.items():
            self._dropped.labels(reason).inc(count)
        self._door_mismatches.inc(report.door_mismatches)
        for seen in report.drift:
            self._drift.labels(seen.kind, seen.member, seen.difference).inc(seen.messages)
        if report.committed_at:
            self._last_commit.set(report.committed_at)

    def died(self, death: Death) -> None:
        """Count a worker's death."""
        self._deaths.labels(death.lane, death.cause).inc()

    def serve(self, host: str, port: int) -> tuple[WSGIServer, int]:
        """Answer scrapes on threads; the server, to be shut down, and its port. Raises OSError."""
        server, _ = start_http_server(port, host, self.registry)
        return server, server.server_port


class Surroundings(Collector):
    """Gauges read at each scrape: the pool as it is, and the latest look around."""

    def __init__(
        self,
        pool: Pool,
        monitor: Callable[[], Monitor],
        reloaded: Callable[[], bool],
        limits: Mapping[str, int],
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._monitor = monitor
        self._reloaded = reloaded

    def collect(self) -> Iterable[Metric]:
        yield from self._workers()
        help = "1 if the latest SIGHUP came to its end; 0: the log says why not."
        reloaded = GaugeMetricFamily("chef_ingest_last_reload_successful", help, labels=["part"])
        reloaded.add_metric(["settings"], self._reloaded())
        yield reloaded
        yield from self._around(self._monitor())

    def describe(self) -> Iterable[Metric]:
        """Named beforehand, so that registering asks nobody."""
        return ()

    def _workers(self) -> Iterator[Metric]:
        rows = self._pool.described()
        counted = Tally((str(row["lane"]), str(row["state"])) for row in rows)
        workers = GaugeMetricFamily("chef_ingest_workers", "Worker processes.", labels=["lane", "state"])
        for lane in labels.LANES:
            for state in labels.WORKER_STATES:
                workers.add_metric([lane, state], counted[lane, state])
        yield workers
        yield _gauge("chef_ingest_workers_wanted", "Workers of the main lane that should run.", self._pool.wanted)
        in_hand = sum(int(row["in_hand"]) for row in rows)
        help = "Messages that workers have in hand, or had when they were last heard of."
        yield _gauge("chef_ingest_inflight_messages", help, in_hand)
        yield from _silence(rows)
        paused = GaugeMetricFamily("chef_ingest_paused", "Workers held up by an outage.", labels=["reason"])
        for reason, state in labels.HELD_UP.items():
            paused.add_metric([reason], sum(row["state"] == state for row in rows))
        yield paused

    def _around(self, monitor: Monitor) -> Iterator[Metric]:
        backlog = GaugeMetricFamily("chef_ingest_backlog_messages", "Messages ready in a queue.", labels=["queue"])
        consumers = GaugeMetricFamily("chef_ingest_consumers", "Consumers of a queue, anywhere.", labels=["queue"])
        for queue, (ready, consuming) in monitor.queues.items():
            backlog.add_metric([queue], ready)
            consumers.add_metric([queue], consuming)
        yield backlog
        yield consumers
        letters = GaugeMetricFamily("chef_ingest_letters", "Dead letters kept.", labels=["state"])
        if monitor.letters:
            for state in labels.LETTER_STATES:
                letters.add_metric([state], monitor.letters.get(state, 0))
        yield letters
        help = "New letters in this hour of the organization that has most."
        yield _gauge("chef_ingest_letters_of_hour", help, monitor.fullest)
        help = "Actions that were stored before their run was known, as workers count them hourly, by why."
        late = CounterMetricFamily("chef_ingest_late_run_actions", help, labels=["reason"])
        for reason, count in monitor.late_runs.items():
            late.add_metric([reason], count)
        yield late
        limits = GaugeMetricFamily(
            "chef_ingest_letters_limit", "Letters that may be kept, in an hour or at all; 0: no limit.", labels=["of"]
        )
        for of, limit in self._limits.items():
            limits.add_metric([of], limit)
        yield limits
        paused = GaugeMetricFamily(
            "chef_ingest_queue_paused", "1 if operators hold the queue back on this machine.", labels=["queue"]
        )
        for queue in PAUSABLE:
            paused.add_metric([queue], queue in monitor.paused)
        yield paused
        nodes = GaugeMetricFamily(
            "chef_ingest_nodes", "Nodes, by how their latest run stands; counted once a minute.", labels=["status"]
        )
        for status, count in monitor.nodes.items():
            nodes.add_metric([status], count)
        yield nodes
        help = "Nodes that were not heard of for INGEST_NODE_MISSING_SECONDS; counted once a minute."
        yield _gauge("chef_ingest_nodes_missing", help, monitor.missing)
        supervisors = GaugeMetricFamily(
            "chef_ingest_supervisors",
            "Supervisors on all machines, by whether they are still heard of.",
            labels=["state"],
        )
        for word, stale in labels.HEARD.items():
            supervisors.add_metric([word], monitor.supervisors.get(stale, 0))
        yield supervisors
        yield _gauge("chef_ingest_broker_up", "1 if the supervisor can see the broker.", not monitor.broker_fault)
        yield _gauge("chef_ingest_database_up", "1 if the supervisor can see the database.", not monitor.database_fault)


def _silence(rows: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    help = "Since the worker was heard of that has been silent longest; each reports every second."
    yield _gauge("chef_ingest_longest_silence_seconds", help, max((row["silent_seconds"] for row in rows), default=0))
    help = "Messages that workers in state silent had in hand when they were last heard of."
    held = sum(int(row["in_hand"]) for row in rows if row["state"] == "silent")
    yield _gauge("chef_ingest_silent_messages", help, held)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=float(value))


def _observe_many(histogram: Histogram, value: float, count: int) -> None:
    # The client library observes one by one; a batch has few distinct ages but many messages of each.
    for _ in range(count):
        histogram.observe(value)
