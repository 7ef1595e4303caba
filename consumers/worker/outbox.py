"""The worker's publishing connection: replies to waiting shims, and confirmed moves to another queue."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

import pika
from pika.adapters.blocking_connection import BlockingConnection

from consumers.broker.deaths import broker_death
from consumers.broker.properties import carried, sendable
from consumers.broker.publisher import ConfirmingPublisher
from consumers.broker.replies import Replies
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from schemas.labels import AnswerLoss
from schemas.message import (
    HEADER_DOOR,
    HEADER_GIVEN_UP,
    HEADER_ORIGIN_EXCHANGE,
    HEADER_ORIGIN_QUEUE,
    HEADER_ORIGIN_ROUTING_KEY,
    HEADER_PARKED,
    HEADER_RETRIES,
    OUR_HEADERS,
)
from schemas.printable import to_ascii
from schemas.topology import DEAD, DELAY_EXCHANGE, PARKED, QUARANTINE, ROUTING_KEYS
from schemas.verdict import Verdict, to_wire

TICK_SECONDS: Final = 0.5


class AmqpOutbox:
    """An Outbox that publishes on connections of its own: a broker that blocks publishers must not stop our consuming.

    Connects when first used, and again after a loss. `connect` is to keep a connection that the broker blocks.
    `dropped` is told of each answer known not to have gone out.
    """

    def __init__(
        self, connect: Callable[[], BlockingConnection], dropped: Callable[[AnswerLoss], None] = lambda _: None
    ) -> None:
        self._connect = connect
        self._moves: ConfirmingPublisher | None = None
        self._replies = Replies(connect, dropped)
        self._heard = 0.0

    def reply(self, verdicts: Iterable[tuple[Delivery, Verdict]]) -> bool:
        """One message per waiting shim: `[[correlation id, verdict], ...]`; whether all of them went out.

        Best effort: a shim that hears nothing answers 202, which is true. Raises nothing.
        """
        waiting: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        for delivery, verdict in verdicts:
            if delivery.reply_to and delivery.correlation_id:
                waiting[delivery.reply_to].append((delivery.correlation_id, to_wire(verdict)))
        return not waiting or self._replies.send({reply_to: to_ascii(answers) for reply_to, answers in waiting.items()})

    def listening(self, reply_to: str) -> bool:
        """Whether the shim that waits there is connected: the broker knows its pseudo-queue. Raises nothing."""
        return self._replies.listening(reply_to)

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
        self._publish(exchange, routing_key, delivery.message.payload, properties)

    def park(self, delivery: Delivery, why: str) -> None:
        """Put what can't become a letter where a person finds it, its bytes with the reason. Raises as `move`."""
        headers = {HEADER_PARKED: why} | sendable(_origin(delivery))
        properties = pika.BasicProperties(delivery_mode=2, headers=headers)
        self._publish("", PARKED, delivery.message.payload, properties)

    def quarantine(self, delivery: Delivery) -> None:
        """Move a suspect to the lane where it is handled alone."""
        headers = _origin(delivery)
        if delivery.queue == DEAD:
            headers[HEADER_GIVEN_UP] = broker_death(delivery.properties.headers or {}).reason
        self.move(delivery, "", QUARANTINE, headers)

    def delay(self, delivery: Delivery) -> None:
        """Let a message wait in the delay queue; its own exchange and routing key come back with it."""
        headers = _origin(delivery) | {HEADER_RETRIES: delivery.retries + 1}
        # It expires to the exchange `ingest`, which has to know the routing key, whatever the sender's was.
        self.move(delivery, DELAY_EXCHANGE, ROUTING_KEYS[delivery.message.kind], headers)

    def tick(self) -> None:
        """Answer heartbeats and hear of alarms; call it often, it does so every half a second."""
        if time.monotonic() - self._heard < TICK_SECONDS:
            return
        self._heard = time.monotonic()
        self._replies.tick()
        if self._moves is not None:
            try:
                self._moves.wait(0)
            except BrokerUnavailable:
                self._leave()

    def close(self) -> None:
        """Leave the broker."""
        self._replies.close()
        self._leave()

    def _publish(self, exchange: str, routing_key: str, payload: bytes, properties: pika.BasicProperties) -> None:
        if self._moves is None or self._moves.lost:
            self._leave()
            self._moves = ConfirmingPublisher(self._connect())
        self._moves.publish(exchange, routing_key, payload, properties)

    def _leave(self) -> None:
        if self._moves is not None:
            self._moves.close()
        self._moves = None


def _origin(delivery: Delivery) -> dict[str, Any]:
    return {
        HEADER_ORIGIN_EXCHANGE: delivery.exchange,
        HEADER_ORIGIN_ROUTING_KEY: delivery.routing_key,
        HEADER_ORIGIN_QUEUE: delivery.origin_queue,
        HEADER_DOOR: delivery.message.door,
    }
