"""One generation of the broker connection: it connects, publishes, is confirmed, and never comes back."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import Any, Final, Protocol

import pika
import pika.exceptions
from pika.spec import Basic, BasicProperties

from consumers.broker.connection import Patience, parameters
from consumers.broker.frames import GatheringConnection
from consumers.broker.publisher import largest_message
from consumers.broker.tls import strictness
from schemas.topology import INGEST_EXCHANGE

REPLY_TO: Final = "amq.rabbitmq.reply-to"
"""RabbitMQ's direct reply-to: replies come down the channel that published, through no queue."""

# A blocked connection is kept: it tells us when the alarm is over.
_PATIENCE: Final = Patience(connect=3, handshake=5, blocked=None)


_ENVELOPE_BYTES: Final = 1024
"""Of a frame, for what else is in an envelope: here, and once a worker or the broker has put more into it."""


class Owner(Protocol):
    """Whom a connection tells what happens to it. After `connection_down` a connection says nothing more."""

    def connection_up(self, connection: BrokerConnection) -> None: ...

    def connection_down(self, connection: BrokerConnection, why: str) -> None: ...

    def blocked(self, connection: BrokerConnection, why: str | None) -> None:
        """Publishing is blocked by an alarm; None: no longer."""

    def settled(self, correlation_id: str, confirmed: bool) -> None: ...

    def returned(self, correlation_id: str) -> None: ...

    def replied(self, body: bytes) -> None: ...


def hosts(amqp_url: str, *, heartbeat: int) -> list[pika.URLParameters]:
    """The hosts of AMQP_URL, as a connection connects to them. Raises Misconfigured."""
    return parameters(amqp_url, heartbeat=heartbeat, name="chef-ingest shim", patience=_PATIENCE)


class BrokerConnection:
    """Connects on construction (to the first host that takes us) and tells its owner of everything after.

    Delivery tags and what is unconfirmed belong to one connection, so an ack of an old channel can't
    settle a message of a new one.
    """

    def __init__(self, hosts: list[pika.URLParameters], owner: Owner, exchange: str = INGEST_EXCHANGE) -> None:
        self._owner = owner
        self._exchange = exchange
        self._connection: Any = None
        self._channel: Any = None
        self._tag = 0
        self._unconfirmed: dict[int, tuple[str, int]] = {}
        self._down = False
        self._left = False
        self.unconfirmed_bytes = 0
        GatheringConnection.create_connection(hosts, self._on_connected, custom_ioloop=asyncio.get_running_loop())

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not settled, those included whose clients have their 503."""
        return len(self._unconfirmed)

    @property
    def name_bytes(self) -> int:
        """How long a message's names may be together: its properties can't be split over two frames."""
        return int(self._connection.params.frame_max) - _ENVELOPE_BYTES

    @property
    def message_bytes(self) -> int:
        """How large a message the broker takes, as far as its version tells."""
        said = getattr(self._connection, "server_properties", None) or {}
        return largest_message(str(said.get("version", "")))

    def publish(self, correlation_id: str, routing_key: str, body: bytes, properties: BasicProperties) -> None:
        """Hand a message to the connection; `settled` tells the rest. Raises AMQPError if that is closed."""
        self._channel.basic_publish(self._exchange, routing_key, body, properties, mandatory=True)
        self._tag += 1
        self._unconfirmed[self._tag] = (correlation_id, len(body))
        self.unconfirmed_bytes += len(body)

    def close(self) -> None:
        """Let go of the connection, one that is still being opened once it is; `connection_down` follows."""
        # Not by aborting it: in the middle of a handshake that is an AssertionError [pika 1.4: AMQPConnector.abort].
        self._left = True
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def _on_connected(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self._fail(_words(result))
            return
        self._connection = result
        result.hear(self._on_reply, self._on_confirmed)
        result.add_on_close_callback(lambda _, error: self._fail(_words(error)))
        if self._left:
            result.close()
            return
        result.add_on_connection_blocked_callback(lambda _, frame: self._owner.blocked(self, str(frame.method.reason)))
        result.add_on_connection_unblocked_callback(lambda *_: self._owner.blocked(self, None))
        result.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        # RabbitMQ answers a channel's methods in order, so the last answer stands for all three.
        channel.exchange_declare(self._exchange, passive=True, callback=lambda _: self._on_exchange())

    def _on_exchange(self) -> None:
        self._channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_confirming())

    def _on_confirming(self) -> None:
        self._channel.basic_consume(
            REPLY_TO, self._on_reply, auto_ack=True, callback=lambda _: self._owner.connection_up(self)
        )

    def _on_channel_closed(self, _: Any, error: BaseException) -> None:
        if isinstance(error, pika.exceptions.ChannelClosedByClient):
            # We are closing the connection, whose own end is still to come.
            return
        # The channel is all we need of the connection: without it the whole generation is over.
        why = _words(error)
        if getattr(error, "reply_code", None) == 404:
            why += f" (exchange {self._exchange!r} is missing: run `chef-ingest topology declare`)"
        self._fail(why)
        if self._connection.is_open:
            self._connection.close()

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        self._settle(method.delivery_tag, method.multiple, confirmed=isinstance(method, Basic.Ack))

    def _on_confirmed(self, tag: int, multiple: bool) -> None:
        self._settle(tag, multiple, confirmed=True)

    def _settle(self, last: int, multiple: bool, *, confirmed: bool) -> None:
        tags = list(takewhile(lambda tag: tag <= last, self._unconfirmed)) if multiple else [last]
        for tag in tags:
            correlation_id, size = self._unconfirmed.pop(tag, ("", 0))
            self.unconfirmed_bytes -= size
            if not self._down:
                self._owner.settled(correlation_id, confirmed)

    def _on_return(self, _: Any, __: Any, properties: BasicProperties, ___: bytes) -> None:
        if not self._down:
            self._owner.returned(str(properties.correlation_id))

    def _on_reply(self, _: Any, __: Any, ___: BasicProperties, body: bytes) -> None:
        if not self._down:
            self._owner.replied(body)

    def _fail(self, why: str) -> None:
        if not self._down:
            self._down = True
            self._owner.connection_down(self, why)


def _words(error: BaseException) -> str:
    """An error in one line; of many hosts the last one's, of pika's wrappers what they wrap."""
    if strict := strictness(error):
        return strict
    inner = getattr(error, "exceptions", None) or getattr(error, "exception", None) or error.args
    wrapped = inner[-1] if isinstance(inner, (list, tuple)) and inner else inner
    if isinstance(wrapped, BaseException):
        return _words(wrapped)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
