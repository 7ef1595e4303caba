"""The worker's inbox: deliveries off its queues, or none, a tick, when nothing came in time."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from schemas.message import HEADER_ORIGIN_EXCHANGE, HEADER_ORIGIN_ROUTING_KEY, Message
from schemas.topology import CHEF_EXCHANGE, INGEST_EXCHANGE, KINDS_BY_ROUTING_KEY


class Source:
    """Consumes `queues` (name -> prefetch) on one channel of `connection`, which it alone uses.

    `generation` tells this channel's delivery tags from an older channel's.
    """

    def __init__(self, connection: BlockingConnection, queues: Mapping[str, int], generation: int) -> None:
        self._connection = connection
        self._generation = generation
        self._inbox: deque[Delivery] = deque()
        self._queues: dict[str, str] = {}
        self._cancelled = ""
        self.channel: BlockingChannel = connection.channel()
        self.channel.add_on_cancel_callback(self._on_cancel)
        for queue, prefetch in queues.items():
            self.channel.basic_qos(prefetch_count=prefetch)
            tag = self.channel.basic_consume(queue, self._on_message)
            self._queues[tag] = queue

    @property
    def generation(self) -> int:
        return self._generation

    def poll(self, timeout: float) -> list[Delivery]:
        """What has come, waiting up to `timeout` seconds for the first; keeps heartbeats going.

        Raises BrokerUnavailable when the connection, the channel or a consumer is gone.
        """
        try:
            if not self._inbox:
                self._connection.process_data_events(timeout)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
        if self._cancelled:
            raise BrokerUnavailable(f"the broker cancelled our consumer of {self._cancelled}")
        if self.channel.is_closed:
            raise BrokerUnavailable("the broker closed our channel")
        deliveries = list(self._inbox)
        self._inbox.clear()
        return deliveries

    def wake(self) -> None:
        """Make a waiting `poll` return now. The one method another thread may call."""
        # A closed connection wakes nobody: `poll` finds that out by itself.
        with contextlib.suppress(pika.exceptions.ConnectionWrongStateError):
            self._connection.add_callback_threadsafe(lambda: None)

    def close(self) -> None:
        """Give back what is unacked, and leave."""
        with contextlib.suppress(pika.exceptions.AMQPError, OSError):
            self._connection.close()

    def stop_consuming(self) -> None:
        """Take no more deliveries; what is in hand can still be settled. What was on its way goes back."""
        try:
            for tag in list(self._queues):
                self.channel.basic_cancel(tag)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def _on_cancel(self, frame: Any) -> None:
        self._cancelled = self._queues.get(frame.method.consumer_tag, "a queue")

    def _on_message(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        headers = properties.headers or {}
        exchange, routing_key = method.exchange, method.routing_key
        if headers and HEADER_ORIGIN_EXCHANGE in headers:
            exchange = str(headers[HEADER_ORIGIN_EXCHANGE])
            routing_key = str(headers.get(HEADER_ORIGIN_ROUTING_KEY, ""))
        chef = exchange == CHEF_EXCHANGE
        kind = "action" if chef else properties.type or KINDS_BY_ROUTING_KEY.get(routing_key, routing_key)
        self._inbox.append(
            Delivery(
                Message.from_headers(
                    body,
                    kind=kind,
                    door="chef" if chef else "http",
                    content_encoding=properties.content_encoding,
                    headers=headers,
                ),
                method.delivery_tag,
                self._generation,
                self._queues[method.consumer_tag],
                exchange or INGEST_EXCHANGE,
                routing_key,
                headers.get("x-delivery-count", 0) if headers else 0,
                properties.reply_to,
                properties.correlation_id,
                headers,
                properties,
            )
        )
