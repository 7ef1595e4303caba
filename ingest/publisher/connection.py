"""One generation of the broker connection: it connects, publishes, is confirmed, and never comes back."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import Any, Final, Protocol

import pika
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.spec import Basic, BasicProperties

from consumers.broker.connection import read_url
from consumers.broker.frames import Frames
from schemas.topology import INGEST_EXCHANGE

REPLY_TO: Final = "amq.rabbitmq.reply-to"
"""RabbitMQ's direct reply-to: replies come down the channel that published, through no queue."""

_CONNECT_SECONDS: Final = 3
_HANDSHAKE_SECONDS: Final = 5
_GATHERED_BYTES: Final = 64 * 1024
_MESSAGE_FRAMES: Final = 2
"""A message is a method frame, a header frame and body frames; anything else is one frame."""


class Owner(Protocol):
    """Whom a link tells what happens to it. After `link_down` a link says nothing more."""

    def link_up(self, link: BrokerConnection) -> None: ...

    def link_down(self, link: BrokerConnection, why: str) -> None: ...

    def blocked(self, link: BrokerConnection, why: str | None) -> None:
        """Publishing is blocked by an alarm; None: no longer."""

    def settled(self, correlation_id: str, confirmed: bool) -> None: ...

    def returned(self, correlation_id: str) -> None: ...

    def replied(self, body: bytes) -> None: ...


def parameters(amqp_url: str, *, heartbeat: int) -> list[pika.URLParameters]:
    """What to connect to, from comma-separated URLs. Raises ValueError on one that can't be read."""
    return [_parameters(url.strip(), heartbeat) for url in amqp_url.split(",")]


def _parameters(url: str, heartbeat: int) -> pika.URLParameters:
    found = read_url(url)
    found.heartbeat = heartbeat
    found.socket_timeout = _CONNECT_SECONDS
    found.stack_timeout = _HANDSHAKE_SECONDS
    # A blocked connection is kept: it tells us when the alarm is over.
    found.blocked_connection_timeout = None
    found.connection_attempts = 1
    found.client_properties = {"connection_name": "chef-ingest shim", "product": "chef-ingest"}
    found.tcp_options = {"TCP_USER_TIMEOUT": 2 * heartbeat * 1000, "TCP_KEEPIDLE": heartbeat}
    return found


class _Connection(Frames, AsyncioConnection):  # type: ignore[misc]
    """Sends what is published in one turn of the loop together.

    By pika alone each message is three segments and three system calls, here and in the broker.
    Should pika rename what is overridden here, it is slow again but right.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        super().__init__(*args, **kwargs)

    def _output_marshaled_frames(self, marshaled_frames: list[bytes]) -> None:
        size = sum(map(len, marshaled_frames))
        if len(marshaled_frames) < _MESSAGE_FRAMES or size > _GATHERED_BYTES:
            self._send_gathered()
            super()._output_marshaled_frames(marshaled_frames)
            return
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send_gathered)
        self._gathered += marshaled_frames
        self._gathered_bytes += size
        if self._gathered_bytes > _GATHERED_BYTES:
            self._send_gathered()

    def _send_gathered(self) -> None:
        # After a loss there is nothing to send with, and the owner has been told.
        if self._gathered and getattr(self, "_transport", None) is not None:
            frames, self._gathered, self._gathered_bytes = self._gathered, [], 0
            super()._output_marshaled_frames([b"".join(frames)])


class BrokerConnection:
    """Connects on construction (to the first host that takes us) and tells its owner of everything after.

    Delivery tags and what is unconfirmed belong to one link, so an ack of an old channel can't
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
        self.unconfirmed_bytes = 0
        self._workflow = _Connection.create_connection(
            hosts, self._on_connected, custom_ioloop=asyncio.get_running_loop()
        )

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not settled, those included whose clients have their 503."""
        return len(self._unconfirmed)

    def publish(self, correlation_id: str, routing_key: str, body: bytes, properties: BasicProperties) -> None:
        """Hand a message to the connection; `settled` tells the rest. Raises AMQPError if that is closed."""
        self._channel.basic_publish(self._exchange, routing_key, body, properties, mandatory=True)
        self._tag += 1
        self._unconfirmed[self._tag] = (correlation_id, len(body))
        self.unconfirmed_bytes += len(body)

    def close(self) -> None:
        """Let go of the connection, politely where it is open; `link_down` follows."""
        if self._connection is None:
            self._workflow.abort()
        elif self._connection.is_open:
            self._connection.close()

    def _on_connected(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self._fail(_words(result))
            return
        self._connection = result
        result.hear(self._on_reply, self._on_confirmed)
        result.add_on_close_callback(lambda _, error: self._fail(_words(error)))
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
            REPLY_TO, self._on_reply, auto_ack=True, callback=lambda _: self._owner.link_up(self)
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
            self._owner.link_down(self, why)


def _words(error: BaseException) -> str:
    """An error in one line; of many hosts the last one's, of pika's wrappers what they wrap."""
    inner = getattr(error, "exceptions", None) or getattr(error, "exception", None) or error.args
    wrapped = inner[-1] if isinstance(inner, (list, tuple)) and inner else inner
    if isinstance(wrapped, BaseException):
        return _words(wrapped)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
