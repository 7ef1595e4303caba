"""THE confirmed publish: returns once the broker has the message, or says why it does not take it."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import Any, Final

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection
from pika.channel import Channel
from pika.spec import Basic

from consumers.broker.connection import OPEN_SECONDS, LiveConnection, connect
from consumers.broker.frames import Unsendable, require_fits
from consumers.errors import BrokerUnavailable

CONFIRM_SECONDS: Final = 10.0
"""How long the broker may take to confirm."""
_UNSENDABLE = (struct.error, pika.exceptions.UnsupportedAMQPFieldException, pika.exceptions.ShortStringTooLong)
_PRECONDITION_FAILED: Final = 406
"""What the broker says of a message by itself: it is larger than `max_message_size`, a property of it is refused."""

_MIB: Final = 1024 * 1024
_SAID: Final = re.compile(r"is larger than (?:configured )?max size ([0-9]+)")

_ANSWERS = (Basic.Ack, Basic.Nack, pika.exceptions.ChannelClosedByBroker)


class NotTaken(BrokerUnavailable):
    """The broker is there and does not take this message; the next one may fare better."""


class NeverTaken(NotTaken):
    """The broker will not take this message as it is, however often it is tried."""


class ConfirmingPublisher:
    """Publishes on a channel of `connection`, which is its own: opened when first used and again when it is closed.

    Nothing is published while the broker blocks publishers, and nothing is waited for once it begins to.
    """

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self._live = LiveConnection(connection)
        self._channel: Channel | None = None
        self._returned = False
        self._answer: Basic.Ack | Basic.Nack | BaseException | None = None

    @property
    def lost(self) -> bool:
        """The connection is gone."""
        return bool(self._live.lost)

    @property
    def broke_the_broker(self) -> bool:
        """It is gone because of an internal error of the broker's."""
        return self._live.internal_error

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: pika.BasicProperties | None = None,
        *,
        mandatory: bool = True,
    ) -> None:
        """`body` unchanged, persistent where no properties are given; returns once it is confirmed.

        `mandatory`: that a queue has it. Without it whatever leads nowhere is confirmed too.

        Raises NotTaken, of which NeverTaken is one: the message is in no queue. Raises BrokerUnavailable: that is
        not known.
        """
        where = f"exchange {exchange!r}, routing key {routing_key!r}"
        properties = properties or pika.BasicProperties(delivery_mode=2)
        # What has been said since is heard first: an alarm, or its end.
        self._live.turn()
        channel = self._open()
        self._answer, self._returned = None, False
        try:
            require_fits(self._connection, properties)
            channel.basic_publish(exchange, routing_key, body, properties, mandatory=mandatory)
            self._live.wait(lambda: self._answer is not None, CONFIRM_SECONDS)
        except Unsendable as error:
            raise NeverTaken(f"{where}: {error}") from None
        except _UNSENDABLE as error:
            raise NeverTaken(f"{where}: its properties can't be sent: {error!r}") from None
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
        except BrokerUnavailable:
            # Its answer may come yet, and must not be taken for another's.
            self._leave()
            raise
        self._require_taken(where)

    def wait(self, seconds: float) -> None:
        """Let time pass; heartbeats go on. Raises BrokerUnavailable."""
        self._live.turn(seconds)
        if self._live.lost:
            raise BrokerUnavailable(self._live.lost)

    def close(self) -> None:
        """Leave the broker."""
        self._live.close()

    def _require_taken(self, where: str) -> None:
        answer = self._answer
        if isinstance(answer, BaseException):
            code = getattr(answer, "reply_code", None)
            kind = NeverTaken if code == _PRECONDITION_FAILED else NotTaken
            raise kind(f"{where}: {getattr(answer, 'reply_text', answer)}")
        if self._returned:
            raise NotTaken(f"{where}: no queue is bound; run `chef-ingest topology declare`")
        if isinstance(answer, Basic.Nack):
            raise NotTaken(f"{where}: the broker refused it; is the queue full?")

    def _open(self) -> Channel:
        if self._channel is None or not self._channel.is_open:
            self._leave()
            self._channel = channel = self._live.channel()
            channel.add_on_return_callback(lambda *_: self._on_return(channel))
            channel.add_on_close_callback(lambda _, error: self._on_answer(channel, error))
            confirming: list[Any] = []
            channel.confirm_delivery(
                lambda frame: self._on_answer(channel, frame.method), callback=lambda frame: confirming.append(frame)
            )
            self._live.wait(lambda: bool(confirming), OPEN_SECONDS)
        return self._channel

    def _leave(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and channel.is_open:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                channel.close()

    def _on_return(self, channel: Channel) -> None:
        self._returned = self._returned or channel is self._channel

    def _on_answer(self, channel: Channel, answer: Any) -> None:
        # A channel that is closed because the connection is has no answer for us.
        if channel is self._channel and isinstance(answer, _ANSWERS):
            self._answer = answer


def largest_message(version: str) -> int:
    """Bytes that a RabbitMQ of this version takes where nobody has set its `max_message_size`; it tells nobody."""
    major = re.match(r"[0-9]{1,4}", version)
    return (16 if major and int(major[0]) >= 4 else 128) * _MIB


def told_largest(words: str) -> int | None:
    """The bytes that a broker's refusal of a message names as the most it takes; None: it is about something else."""
    said = _SAID.search(words)
    return int(said[1]) if said else None


@contextlib.contextmanager
def publishing(amqp_url: str, *, heartbeat: int, name: str) -> Iterator[ConfirmingPublisher]:
    """A publisher on a connection of its own. Raises BrokerUnavailable or Misconfigured when it can't connect."""
    publisher = ConfirmingPublisher(connect(amqp_url, heartbeat=heartbeat, name=name))
    try:
        yield publisher
    finally:
        publisher.close()
