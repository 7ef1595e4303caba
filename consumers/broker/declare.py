"""Puts the topology on a broker, idempotently, and says which argument differs when it can't."""

from __future__ import annotations

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection

from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.topology import TOPOLOGY, Topology

_REMEDY = {
    403: "grant the user configure, write and read permission on the vhost",
    406: "it exists with other arguments; delete it when it is empty, or use another vhost",
}


def declare(connection: BlockingConnection, topology: Topology = TOPOLOGY) -> None:
    """Declare every exchange, queue and binding.

    Raises Misconfigured, with the broker's words and the remedy, where waiting won't help; else BrokerUnavailable.
    """
    for name, step in _steps(topology):
        try:
            channel = connection.channel()
            step(channel)
            channel.close()
        except pika.exceptions.ChannelClosedByBroker as error:
            # Anything else passes: a queue that somebody deletes meanwhile, a cluster without its majority.
            if error.reply_code not in _REMEDY:
                raise BrokerUnavailable(f"{name}: {error.reply_text}") from error
            remedy = _REMEDY[error.reply_code]
            raise Misconfigured(f"{name}: {error.reply_text} ({remedy})") from error
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"{name} was not declared, lost RabbitMQ: {error!r}") from error


def _steps(topology: Topology):  # type: ignore[no-untyped-def]
    for exchange in topology.exchanges:
        yield (
            f"exchange {exchange.name!r}",
            lambda channel, e=exchange: channel.exchange_declare(e.name, e.type, durable=True),
        )
    for queue in topology.queues:
        yield (
            f"queue {queue.name!r}",
            lambda channel, q=queue: channel.queue_declare(q.name, durable=True, arguments=dict(q.arguments)),
        )
    for binding in topology.bindings:
        yield (
            f"binding {binding.exchange!r} -> {binding.queue!r}",
            lambda channel, b=binding: channel.queue_bind(b.queue, b.exchange, b.routing_key),
        )
