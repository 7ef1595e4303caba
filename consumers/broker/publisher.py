"""THE confirmed publish: returns once the broker has the message, or says why it does not take it."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.broker.connection import connect
from consumers.errors import BrokerUnavailable

_UNSENDABLE = (struct.error, pika.exceptions.UnsupportedAMQPFieldException, pika.exceptions.ShortStringTooLong)


class NotTaken(BrokerUnavailable):
    """The broker is there and does not take this message; the next one may fare better."""


class ConfirmingPublisher:
    """Publishes on a channel of `connection`, opened when first used and again when the broker has closed it."""

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self._channel: BlockingChannel | None = None

    def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: pika.BasicProperties | None = None
    ) -> None:
        """Mandatory, `body` unchanged, persistent where no properties are given; returns once it is confirmed.

        Raises NotTaken: the message is in no queue. Raises BrokerUnavailable: that is not known.
        """
        where = f"exchange {exchange!r}, routing key {routing_key!r}"
        properties = properties or pika.BasicProperties(delivery_mode=2)
        try:
            self._open().basic_publish(exchange, routing_key, body, properties, mandatory=True)
        except pika.exceptions.UnroutableError:
            raise NotTaken(f"{where}: no queue is bound; run `chef-ingest topology declare`") from None
        except pika.exceptions.NackError:
            raise NotTaken(f"{where}: the broker refused it; is the queue full?") from None
        except pika.exceptions.ChannelClosedByBroker as error:
            raise NotTaken(f"{where}: {error.reply_text}") from None
        except _UNSENDABLE as error:
            raise NotTaken(f"{where}: its properties can't be sent: {error!r}") from None
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def wait(self, seconds: float) -> None:
        """Let time pass; heartbeats go on. Raises BrokerUnavailable."""
        try:
            self._connection.process_data_events(seconds)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def _open(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel


@contextlib.contextmanager
def publishing(amqp_url: str, *, heartbeat: int, name: str) -> Iterator[ConfirmingPublisher]:
    """A publisher on a connection of its own. Raises BrokerUnavailable or Misconfigured when it can't connect."""
    connection = connect(amqp_url, heartbeat=heartbeat, name=name)
    try:
        yield ConfirmingPublisher(connection)
    finally:
        with contextlib.suppress(pika.exceptions.AMQPError, OSError):
            connection.close()
