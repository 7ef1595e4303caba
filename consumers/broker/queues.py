"""Looks at queues: how much waits in each, and for how many consumers."""

from __future__ import annotations

import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.errors import BrokerUnavailable
from schemas.topology import TOPOLOGY


def counts(channel: BlockingChannel, queue: str) -> tuple[int, int]:
    """Messages ready and consumers of a queue."""
    method = channel.queue_declare(queue, passive=True).method
    return method.message_count, method.consumer_count


def look_at_queues(connection: BlockingConnection) -> dict[str, tuple[int, int]]:
    """Queue -> (ready, consumers), by passive declares, which any queue type answers; a missing queue is left out.

    Raises BrokerUnavailable.
    """
    found = {}
    try:
        for queue in TOPOLOGY.queues:
            # A passive declare of what isn't there closes the channel: one each.
            channel = connection.channel()
            try:
                found[queue.name] = counts(channel, queue.name)
            except pika.exceptions.ChannelClosedByBroker:
                continue
            channel.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
    return found
