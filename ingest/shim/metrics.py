"""The shim's Prometheus metrics: requests, publishes, and how it stands with the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from ingest.access.gate import PARTS, Gate
from ingest.http.answers import Answer
from ingest.http.requests import Request
from ingest.http.service import ConnectionState, Service
from ingest.publisher.publisher import Publisher
from ingest.spool.contents import Contents
from schemas.doors import COLLECTOR
from schemas.labels import PUBLISH_RESULTS, SPOOL_RESULTS

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines, for ever: in a log they would drown what people look for there."""
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ShimMetrics:
    """One shim's, on a registry of its own."""

    def __init__(self, version: str) -> None:
        self.registry = here = CollectorRegistry()
        build = Gauge("chef_ingest_build_info", "Always 1; the version is in the label.", ["version"], registry=here)
        build.labels(version).set(1)
        self._requests = Counter(
            "chef_ingest_http_requests", "Requests answered, by route and status.", ["route", "code"], registry=here
        )
        self._request_seconds = Histogram(
            "chef_ingest_http_request_seconds",
            "Time from a request's header to its answer, the wait for a verdict included.",
            ["route"],
            buckets=_SECONDS,
            registry=here,
        )
        self._published = Counter(
            "chef_ingest_published", "Messages handed to the broker, by what became of that.", ["result"], registry=here
        )
        self._confirm_seconds = Histogram(
            "chef_ingest_publish_confirm_seconds",
            "Time until the broker confirmed a message.",
            buckets=_SECONDS,
            registry=here,
        )
        self._spooled = Counter(
            "chef_ingest_spooled",
            "Messages that the broker had not taken, by what became of them in the spool; they are told as kept once.",
            ["result"],
            registry=here,
        )
        self._left_out = Counter(
            "chef_ingest_left_out",
            "Messages answered 200 and not kept, since a setting turns their kind off.",
            ["kind"],
            registry=here,
        )
        # A rate needs a zero to rise from, and looking a labelled child up takes longer than counting.
        for kind in COLLECTOR.switches:
            self._left_out.labels(kind)
        self._results: dict[str, Counter] = {result: self._published.labels(result) for result in PUBLISH_RESULTS}
        for kept in SPOOL_RESULTS:
            self._spooled.labels(kept)
        # The same; of these there are few.
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def watch(self, publisher: Publisher, gate: Gate) -> None:
        """Read the publisher's and the gate's state at each scrape."""
        gauges = (
            ("chef_ingest_outstanding_messages", "Messages under way: unconfirmed or waiting for their verdict.",
             lambda: publisher.outstanding),
            ("chef_ingest_broker_connected", "1 while the shim is connected to the broker.",
             lambda: publisher.connected),
            ("chef_ingest_connection_blocked", "1 while an alarm of the broker forbids publishing.",
             lambda: publisher.blocked_by_broker),
        )  # fmt: skip
        for name, help, read in gauges:
            Gauge(name, help, registry=self.registry).set_function(read)
        reloaded = Gauge(
            "chef_ingest_last_reload_successful",
            "1 while the files of this part of the gate could be used when last read; 0: the log says why not.",
            ["part"],
            registry=self.registry,
        )
        for part in PARTS:
            reloaded.labels(part).set_function(partial(_usable, gate, part))
        self.registry.register(Keyless(gate))

    def watch_connections(self, service: Service) -> None:
        """Read at each scrape what the listener holds for strangers, and how much it may."""
        here, limits = self.registry, service.limits
        opened = Gauge("chef_ingest_connections", "Open connections, by what each waits for.", ["state"], registry=here)
        for state in ConnectionState:
            if state is not ConnectionState.CLOSED:
                opened.labels(state.name.lower()).set_function(partial(_in_state, service, state))
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("chef_ingest_connections_limit", "INGEST_MAX_CONNECTIONS: beyond it whoever comes hears 503.",
             lambda: limits.connections),
            ("chef_ingest_held_bytes", "Headers, bodies and unread answers in memory, of all connections together.",
             lambda: service.held.bytes),
            ("chef_ingest_held_bytes_limit", "INGEST_MAX_HELD_BYTES: beyond it what comes is answered 503.",
             lambda: limits.held_bytes),
        )  # fmt: skip
        for name, help, read in gauges:
            Gauge(name, help, registry=here).set_function(read)

    def watch_spool(self, contents: Callable[[], Contents], limit: int) -> None:
        """Read at each scrape what was in the spool when last looked: of its folder, which shims share. It may be off:
        then it is empty and holds nothing."""
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("chef_ingest_spool_messages", "Messages in the spool, which go to the broker once it takes them.",
             lambda: contents().messages),
            ("chef_ingest_spool_bytes", "What the spool's files have on the disk.", lambda: contents().used),
            ("chef_ingest_spool_bytes_limit", "INGEST_COLLECTOR_SPOOL_BYTES: beyond it what comes is answered 503.",
             lambda: limit),
            ("chef_ingest_spool_oldest_timestamp_seconds", "When the oldest message in the spool came, or 0.",
             lambda: contents().oldest or 0),
            ("chef_ingest_spool_aside", "Messages, or damaged parts of the spool, that wait for a person.",
             lambda: contents().aside),
        )  # fmt: skip
        for name, help, read in gauges:
            Gauge(name, help, registry=self.registry).set_function(read)

    def spooled(self, result: str) -> None:
        """Count a message that the spool was given."""
        self._spooled.labels(result).inc()

    def left_out(self, kind: str) -> None:
        """Count a message of a kind that is off."""
        self._left_out.labels(kind).inc()

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count a request. `route` is a template, never a path: there are few of them."""
        found = self._answered.get((route, code))
        if found is None:
            name = route or "none"
            found = self._requests.labels(name, code), self._request_seconds.labels(name)
            self._answered[route, code] = found
        requests, request_seconds = found
        requests.inc()
        request_seconds.observe(seconds)

    def published(self, result: str, seconds: float) -> None:
        """Count a publish; `seconds` is how long the broker took, of a confirmed one."""
        self._results[result].inc()
        if result == "confirmed":
            self._confirm_seconds.observe(seconds)

    def sampled(self) -> dict[str, int]:
        """What a minute's sample says, of all that was ever counted: requests, and those of them answered 503; probes,
        which ask how we are, are none."""
        counted = [
            (sample.labels["code"], int(sample.value))
            for family in self._requests.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["route"] not in PROBES
        ]
        refused = sum(value for code, value in counted if code == "503")
        return {"requests": sum(value for _, value in counted), "refused": refused}

    async def scrape(self, request: Request) -> Answer:
        """The route /metrics."""
        return Answer(200, generate_latest(self.registry), (), "metrics", CONTENT_TYPE)


class Keyless(Collector):
    """Counts, as the guard does, who signed and has no key here."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One counter; zero where no signature is asked for."""
        yield CounterMetricFamily(
            "chef_ingest_keyless_requests",
            "Signed requests refused since there is no key in INGEST_CLIENT_KEYS for who signed them.",
            value=self._gate.guard.keyless if self._gate.guard is not None else 0,
        )


def _in_state(service: Service, state: ConnectionState) -> float:
    return float(sum(each.state is state for each in service.connections))


def _usable(gate: Gate, part: str) -> float:
    return float(part not in gate.faults)
