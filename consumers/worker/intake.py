"""Makes a delivery of what the broker delivered, whatever its envelope holds."""

from __future__ import annotations

from typing import Final

import structlog
from pika.spec import BasicProperties

from consumers.broker.frames import Address
from consumers.broker.properties import Undecodable, text
from consumers.broker.provenance import provenance
from consumers.delivery import Delivery
from schemas.message import ACTION, Message
from schemas.verdict import Invalid

_REPLY_TO: Final = "amq.rabbitmq.reply-to."
"""How the broker rewrites the reply-to of a shim, which asks for RabbitMQ's direct reply-to."""


def taken_in(
    address: Address, queue: str, tag: int, generation: int, properties: BasicProperties, body: bytes
) -> Delivery:
    """The delivery; never raises. One that can't be judged has its `problem`."""
    try:
        return _taken_in(address, queue, tag, generation, properties, body)
    except Exception as error:
        structlog.get_logger().exception("delivery not understood", queue=queue)
        return Delivery(
            Message(ACTION, body, "chef"), tag, generation, queue, address.exchange, address.routing_key,
            properties=properties, origin_queue=queue, redelivered=address.redelivered, problem=fault_of(error),
        )  # fmt: skip


def fault_of(error: BaseException) -> Invalid:
    """What is said of a message that made our own code raise."""
    return Invalid("crash", "exception", {"message": f"a fault in the worker, see its log: {type(error).__name__}"})


def _taken_in(
    address: Address, queue: str, tag: int, generation: int, properties: BasicProperties, body: bytes
) -> Delivery:
    came = provenance(queue, address.exchange, address.routing_key, properties)
    headers = (properties.headers or {}) if came.ours else {}
    encoding, reply_to, correlation_id = properties.content_encoding, properties.reply_to, properties.correlation_id
    known = correlation_id if came.ours and isinstance(correlation_id, str) else None
    waiting = known and came.answered and isinstance(reply_to, str) and reply_to.startswith(_REPLY_TO)
    return Delivery(
        Message.from_headers(
            body,
            kind=came.kind,
            door=came.door,
            content_encoding=None if encoding is None else text(encoding),
            headers={} if came.door == "chef" else headers,
        ),
        tag,
        generation,
        queue,
        came.exchange,
        came.routing_key,
        reply_to if waiting else None,
        known,
        headers,
        properties,
        came.queue,
        address.redelivered,
        _unreadable(properties) if type(properties) is Undecodable else None,
    )


def _unreadable(properties: Undecodable) -> Invalid:
    return Invalid(
        "broker", "envelope", {"properties": f"the message's AMQP properties can't be read: {properties.why}"}
    )
