"""Publishes and returns once the broker has confirmed it."""

from __future__ import annotations

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection

from consumers.errors import BrokerUnavailable


def publish_once(connection: BlockingConnection, exchange: str, routing_key: str, body: bytes) -> None:
    """Publish one persistent message, mandatory and confirmed, as it stands. Raises BrokerUnavailable."""
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2)
    try:
        channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"exchange {exchange!r} took no message: {error!r}") from error
    channel.close()
