"""Where a message comes from, and what of its envelope is believed: a Chef server's account may write anything there.

Only two accounts write to the exchange `ingest` and to our queues: a shim's and our own. Whoever may write to the
exchange `actions`, and to that alone, reaches `ingest.actions`, and by an expiry of his choice `ingest.dead`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from consumers.broker.deaths import newest_death
from consumers.broker.properties import text
from schemas.doors import IMPLIED, INLET_QUEUES, INLETS, WORDS
from schemas.message import (
    HEADER_DOOR,
    HEADER_ORIGIN_EXCHANGE,
    HEADER_ORIGIN_QUEUE,
    HEADER_ORIGIN_ROUTING_KEY,
)
from schemas.topology import (
    DEAD_EXCHANGE,
    INGEST_EXCHANGE,
    KINDS_BY_ROUTING_KEY,
    QUARANTINE,
    QUEUES_BY_KIND,
)


class Provenance(NamedTuple):
    """`exchange` and `routing_key`: where its sender published it, whatever way it took since.

    `queue` is the one that it reached first, `kind` and `door` how it is judged. `ours`: its headers were written,
    or passed on, by a shim or a worker; else nothing in it is believed but its body and its routing key.
    """

    queue: str
    exchange: str
    routing_key: str
    kind: str
    door: str
    ours: bool

    @property
    def answered(self) -> bool:
        """Whether somebody may wait for an answer: a shim, and nobody else."""
        return self.ours and self.exchange == INGEST_EXCHANGE


def provenance(queue: str, exchange: str, routing_key: str, properties: Any) -> Provenance:
    """Of a message delivered from `queue`, with the exchange and routing key of its `basic.deliver`."""
    if exchange in INLETS:
        kind, door = INLETS[exchange]
        return Provenance(queue, exchange, routing_key, kind, door, False)
    headers = properties.headers or {}
    if exchange == DEAD_EXCHANGE:
        queue, exchange, routing_key, ours = _died(headers, queue, exchange, routing_key)
    else:
        # Moved there by hand (the default exchange, a shovel, an exchange bound to ours): anybody's message.
        ours = exchange == INGEST_EXCHANGE or queue not in INLET_QUEUES
    # Who says that he came by an inlet is believed: nobody is believed less.
    if HEADER_ORIGIN_EXCHANGE in headers and (ours or headers[HEADER_ORIGIN_EXCHANGE] in tuple(INLETS)):
        queue = text(headers.get(HEADER_ORIGIN_QUEUE, queue))
        exchange = text(headers[HEADER_ORIGIN_EXCHANGE])
        routing_key = text(headers.get(HEADER_ORIGIN_ROUTING_KEY, ""))
    if ours and (told := headers.get(HEADER_DOOR)) in WORDS:
        return Provenance(queue, exchange, routing_key, text(properties.type), told, ours)
    kind, door = _kind(queue, exchange, routing_key, properties.type, ours)
    return Provenance(queue, exchange, routing_key, kind, door, ours)


def _died(headers: Mapping[Any, Any], queue: str, exchange: str, routing_key: str) -> tuple[str, str, str, bool]:
    """Queue, exchange and routing key before the dead letter exchange, and whether the headers are ours.

    Of an entry in `x-death` the queue is the broker's own word. The exchange may be the sender's: RabbitMQ 3 counts
    one up that it finds, forged or not. So nothing hangs on it but the schema's profile.
    """
    death = newest_death(headers)
    if death is None:
        return queue, exchange, routing_key, True
    keys = death.get("routing-keys")
    key = keys[0] if isinstance(keys, list) and keys else routing_key
    died_in = text(death.get("queue", queue))
    return died_in, text(death.get("exchange", exchange)), text(key), died_in not in INLET_QUEUES


def _kind(queue: str, exchange: str, routing_key: str, type_: Any, ours: bool) -> tuple[str, str]:
    if exchange in INLETS:
        return INLETS[exchange]
    named = text(type_) if type_ else ""
    kind = named if named in QUEUES_BY_KIND else KINDS_BY_ROUTING_KEY.get(routing_key)
    if queue not in INLET_QUEUES:
        return kind or named or routing_key, IMPLIED
    if kind is not None and (QUEUES_BY_KIND[kind] == queue or (ours and exchange == INGEST_EXCHANGE)):
        return kind, IMPLIED
    # Who moves messages by hand names no kind; what lies in this queue came by its inlet then.
    return INLET_QUEUES[queue]


def was_quarantined(headers: Mapping[Any, Any]) -> bool:
    """Whether a message off `ingest.dead` was given up in quarantine."""
    death = newest_death(headers)
    return death is not None and death.get("queue") == QUARANTINE
