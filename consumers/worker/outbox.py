"""The worker's publishing connection: replies to waiting shims, and confirmed moves to another queue."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

import pika
import pika.exceptions
import structlog
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.broker.frames import closing_reason
from consumers.broker.properties import carried, sendable
from consumers.broker.publisher import ConfirmingPublisher, NotTaken
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.message import (
    HEADER_DOOR,
    HEADER_ORIGIN_EXCHANGE,
    HEADER_ORIGIN_QUEUE,
    HEADER_ORIGIN_ROUTING_KEY,
    HEADER_PARKED,
    HEADER_RETRIES,
    OUR_HEADERS,
)
from schemas.topology import DELAY_EXCHANGE, PARKED, QUARANTINE, ROUTING_KEYS
from schemas.verdict import Verdict, to_wire

TICK_SECONDS: Final = 0.5


class AmqpOutbox:
    """An Outbox that publishes on a connection of its own: a broker that blocks publishers must not stop our consuming.

    Connects when first used, and again after a loss.
    """

    def __init__(self, connect: Callable[[], BlockingConnection]) -> None:
        self._connect = connect
        self._connection: BlockingConnection | None = None
        self._blocked = False
        self._replies: BlockingChannel | None = None
        self._moves: ConfirmingPublisher | None = None
        self._heard = 0.0
        self._refusal_said = False

    def reply(self, verdicts: Iterable[tuple[Delivery, Verdict]]) -> bool:
        """One message per waiting shim: `[[correlation id, verdict], ...]`; whether all of them went out.

        Best effort: a shim that hears nothing answers 202, which is true. Raises nothing.
        """
        waiting: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        for delivery, verdict in verdicts:
            if delivery.reply_to and delivery.correlation_id:
                waiting[delivery.reply_to].append((delivery.correlation_id, to_wire(verdict)))
        if not waiting:
            return True
        try:
            self._ready()
            if self._blocked or self._replies is None:
                return False
            for reply_to, answers in waiting.items():
                self._replies.basic_publish("", reply_to, json.dumps(answers).encode())
        except (pika.exceptions.AMQPError, OSError, BrokerUnavailable, Misconfigured):
            self._lost()
            return False
        return True

    def listening(self, reply_to: str) -> bool:
        """Whether the shim that waits there is connected: the broker knows its pseudo-queue. Raises nothing."""
        try:
            self._ready()
            if self._connection is None or self._blocked:
                return False
            # A channel of its own: a queue that is not there costs it.
            channel = self._connection.channel()
            channel.queue_declare(reply_to, passive=True)
            channel.close()
        except pika.exceptions.ChannelClosedByBroker:
            return False
        except (pika.exceptions.AMQPError, OSError, BrokerUnavailable, Misconfigured):
            self._lost()
            return False
        return True

    def move(self, delivery: Delivery, exchange: str, routing_key: str, headers: dict[str, Any]) -> None:
        """Publish a delivery elsewhere, bytes unchanged; returns once the broker has confirmed it.

        Raises BrokerUnavailable when it did not: the delivery is still ours then.
        """
        old = delivery.properties
        # What a sender wrote under a name of ours would be believed of us: only what was believed goes on.
        kept = carried(old.headers or {})
        ours = {name: value for name, value in delivery.headers.items() if name in OUR_HEADERS}
        properties = pika.BasicProperties(
            content_type=old.content_type,
            content_encoding=old.content_encoding,
            headers=kept | sendable(ours) | headers,
            delivery_mode=2,
            correlation_id=delivery.correlation_id,
            reply_to=delivery.reply_to,
            message_id=old.message_id,
            timestamp=old.timestamp,
            type=delivery.message.kind,
            app_id=old.app_id,
        )
        # A confirm that a blocked broker does not send would be waited for: hear first.
        self._hear()
        try:
            self._ready()
        except (pika.exceptions.AMQPError, OSError) as error:
            self._lost()
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
        if self._blocked or self._moves is None:
            raise BrokerUnavailable("the broker blocks publishers (memory or disk alarm)")
        try:
            self._moves.publish(exchange, routing_key, delivery.message.payload, properties)
        except NotTaken:
            raise
        except BrokerUnavailable:
            self._lost()
            raise

    def park(self, delivery: Delivery, why: str) -> None:
        """Put what can't become a letter where a person finds it, its bytes with the reason. Raises as `move`."""
        self._ready()
        if self._blocked or self._moves is None:
            raise BrokerUnavailable("the broker blocks publishers (memory or disk alarm)")
        properties = pika.BasicProperties(delivery_mode=2, headers={HEADER_PARKED: why} | sendable(_origin(delivery)))
        self._moves.publish("", PARKED, delivery.message.payload, properties)

    def quarantine(self, delivery: Delivery) -> None:
        """Move a suspect to the lane where it is handled alone."""
        self.move(delivery, "", QUARANTINE, _origin(delivery))

    def delay(self, delivery: Delivery) -> None:
        """Let a message wait in the delay queue; its own exchange and routing key come back with it."""
        headers = _origin(delivery) | {HEADER_RETRIES: delivery.retries + 1}
        # It expires to the exchange `ingest`, which has to know the routing key, whatever the sender's was.
        self.move(delivery, DELAY_EXCHANGE, ROUTING_KEYS[delivery.message.kind], headers)

    def tick(self) -> None:
        """Answer heartbeats and hear of alarms; call it often, it does so every half a second."""
        if time.monotonic() - self._heard >= TICK_SECONDS:
            self._hear()

    def _hear(self) -> None:
        self._heard = time.monotonic()
        if self._connection is None:
            return
        try:
            self._connection.process_data_events(0)
        except (pika.exceptions.AMQPError, OSError):
            self._lost()

    def close(self) -> None:
        """Leave the broker."""
        if self._connection is not None:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                self._connection.close()
        self._lost()

    def _ready(self) -> None:
        self.tick()
        if self._connection is not None and self._connection.is_open:
            if self._replies is not None and self._replies.is_closed:
                self._say_refused(self._replies)
                self._replies = self._connection.channel()
            return
        self._connection = self._connect()
        self._blocked = False
        self._connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        self._connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        self._replies = self._connection.channel()
        self._moves = ConfirmingPublisher(self._connection)

    def _say_refused(self, channel: BlockingChannel) -> None:
        """Once: without replies every POST waits in vain and is answered 202, and nothing else would tell."""
        if not self._refusal_said:
            self._refusal_said = True
            remedy = "grant write permission on the default exchange, amq.default, as `chef-ingest doctor` says"
            structlog.get_logger().error("replies refused", why=closing_reason(channel), remedy=remedy)

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked

    def _lost(self) -> None:
        self._connection = self._replies = self._moves = None


def _origin(delivery: Delivery) -> dict[str, Any]:
    return {
        HEADER_ORIGIN_EXCHANGE: delivery.exchange,
        HEADER_ORIGIN_ROUTING_KEY: delivery.routing_key,
        HEADER_ORIGIN_QUEUE: delivery.origin_queue,
        HEADER_DOOR: delivery.message.door,
    }
