"""The broker's exchanges, queues and bindings as data; everybody takes the names from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from schemas.doors import DOORS
from schemas.kinds import KINDS
from schemas.message import PING

VHOST: Final = "/analytics"

INGEST_EXCHANGE: Final = "ingest"
"""The shim publishes here, with the routing keys of `ROUTING_KEYS`."""
DEAD_EXCHANGE: Final = "ingest.dead"
DELAY_EXCHANGE: Final = "ingest.delay"

ACTIONS: Final = "ingest.actions"
"""Where Chef servers' own messages go, and the kinds that say so."""
RUNS: Final = "ingest.runs"
COLLECTOR: Final = "ingest.collector"
"""What is large: a data collector's ends of runs and compliance reports, and what comes with them."""
QUEUES: Final = tuple(dict.fromkeys(kind.queue for kind in sorted(KINDS.values(), key=lambda kind: kind.queue)))
"""The queues of kinds: a worker consumes from each."""
PREFETCH: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(QUEUES, "prefetch") | {COLLECTOR: "collector_prefetch"}
)
"""Queue of kinds -> the setting that says how many of it a worker takes ahead."""
DEAD: Final = "ingest.dead"
QUARANTINE: Final = "ingest.quarantine"
DELAY: Final = "ingest.delay"
PINGS: Final = "ingest.pings"
PARKED: Final = "ingest.parked"
"""What could not even become a dead letter; nobody consumes it, a person looks."""

ROUTING_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {kind.name: kind.routing_key for kind in KINDS.values()} | {PING: "ping"}
)
"""Kind -> routing key on the exchange `ingest`."""

KINDS_BY_ROUTING_KEY: Final[Mapping[str, str]] = MappingProxyType({key: kind for kind, key in ROUTING_KEYS.items()})

DELAY_SECONDS: Final = 5
"""How long a run end whose start is not known yet waits before it is tried again."""

_TAKES_NO_LESS: Final = {
    # At-least-once dead lettering demands reject-publish; both need a quorum queue.
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-strategy": "at-least-once",
}


DELIVERY_LIMIT: Final = 1_000_000_000
"""Never reached. Where none is set RabbitMQ 4 gives a message up at its 20th return, and 3.10 does so at the first
one where it is -1. What comes again and again is a suspect, and leaves for the quarantine queue, which has a limit."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange, never auto-deleted, without arguments."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue. What operators change over time (length limits) is policy, not here.

    `newer`: arguments that an earlier version declared it without. Such a queue will do, and a policy can say the same.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    newer: frozenset[str] = frozenset()

    @property
    def older_arguments(self) -> dict[str, Any]:
        """What an earlier version declared it with."""
        return {name: value for name, value in self.arguments.items() if name not in self.newer}


@dataclass(frozen=True, slots=True)
class Binding:
    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


_BINDINGS: Final = tuple(
    dict.fromkeys(
        # Bound by its first word, so that a new kind beside another needs no new binding.
        Binding(INGEST_EXCHANGE, kind.queue, kind.routing_key.partition(".")[0] + ".#")
        for kind in sorted(KINDS.values(), key=lambda kind: kind.queue)
    )
)

_INLETS: Final = tuple(door.inlet for door in DOORS if door.inlet is not None)

_CROWD: Final = {**_TAKES_NO_LESS, "x-dead-letter-exchange": DEAD_EXCHANGE, "x-delivery-limit": DELIVERY_LIMIT}

TOPOLOGY: Final = Topology(
    exchanges=(
        Exchange(INGEST_EXCHANGE, "topic"),
        *(Exchange(inlet.exchange, "topic") for inlet in _INLETS),
        Exchange(DEAD_EXCHANGE, "topic"),
        Exchange(DELAY_EXCHANGE, "topic"),
    ),
    queues=(
        *(Queue(name, _CROWD, frozenset({"x-delivery-limit"})) for name in QUEUES),
        # What the broker gave up on. A limit that is never reached, because RabbitMQ 4 drops
        # a message at the 20th delivery where none is set, and 3.10 refuses -1.
        Queue(DEAD, {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}),
        # A suspect is handled alone, by one worker at a time, three times at most.
        Queue(
            QUARANTINE,
            {
                **_TAKES_NO_LESS,
                "x-dead-letter-exchange": DEAD_EXCHANGE,
                "x-delivery-limit": 3,
                "x-single-active-consumer": True,
            },
        ),
        # Expires back to `ingest`, under the routing key it was published with.
        Queue(
            DELAY,
            {
                **_TAKES_NO_LESS,
                "x-dead-letter-exchange": INGEST_EXCHANGE,
                "x-message-ttl": DELAY_SECONDS * 1000,
            },
        ),
        Queue(PARKED, {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}),
        # Pings prove the path; an unanswered one is worth nothing after a few seconds. Replicated like the
        # others: a classic queue is gone with its node, and no worker starts where a queue is missing.
        Queue(PINGS, {"x-queue-type": "quorum", "x-message-ttl": 5000, "x-max-length": 100}),
    ),
    bindings=(
        *_BINDINGS,
        Binding(INGEST_EXCHANGE, PINGS, "ping"),
        *(Binding(inlet.exchange, inlet.queue, inlet.pattern) for inlet in _INLETS),
        Binding(DEAD_EXCHANGE, DEAD, "#"),
        Binding(DELAY_EXCHANGE, DELAY, "#"),
    ),
)


def _queue_of(routing_key: str) -> str:
    """The queue that a routing key on the exchange `ingest` leads to."""
    for binding in TOPOLOGY.bindings:
        pattern = binding.routing_key.removesuffix("#")
        if binding.exchange == INGEST_EXCHANGE and f"{routing_key}.".startswith(pattern):
            return binding.queue
    raise LookupError(f"no queue is bound for {routing_key}")


QUEUES_BY_KIND: Final[Mapping[str, str]] = MappingProxyType(
    {kind: _queue_of(key) for kind, key in ROUTING_KEYS.items()}
)
"""Kind -> the queue that its messages reach by way of the exchange `ingest`."""


def rows(topology: Topology = TOPOLOGY) -> list[dict[str, str]]:
    """The topology as rows to print: what it is, its name, and what is particular about it."""
    listed = [{"object": "exchange", "name": each.name, "facts": each.type} for each in topology.exchanges]
    for queue in topology.queues:
        facts = ", ".join(f"{name}={value}" for name, value in sorted(queue.arguments.items()))
        listed.append({"object": "queue", "name": queue.name, "facts": facts})
    for binding in topology.bindings:
        facts = f"{binding.exchange} -> {binding.queue}"
        listed.append({"object": "binding", "name": binding.routing_key, "facts": facts})
    return listed
