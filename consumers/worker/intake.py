"""Makes a delivery of what the broker delivered, whatever its envelope holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from pika.spec import BasicProperties

from consumers.broker.frames import Arrival
from consumers.broker.properties import Undecodable, text
from consumers.broker.provenance import provenance
from consumers.delivery import Delivery
from schemas.doors import FOREIGN, nameless
from schemas.message import HEADER_SPEAKS_AS, HEADER_SPEAKS_FOR, Message
from schemas.verdict import Invalid

_REPLY_TO: Final = "amq.rabbitmq.reply-to."
"""How the broker rewrites the reply-to of a shim, which asks for RabbitMQ's direct reply-to."""

FAULT: Final = "exception"
"""The reason of such a letter."""
_COUNT: Final = "x-delivery-count"


def taken_in(
    address: Arrival, queue: str, tag: int, generation: int, properties: BasicProperties, body: bytes
) -> Delivery:
    """The delivery; never raises. One that can't be judged has its `problem`."""
    try:
        return _taken_in(address, queue, tag, generation, properties, body)
    except Exception as error:
        structlog.get_logger().exception("delivery not understood", queue=queue)
        return Delivery(
            nameless(body), tag, generation, queue, address.exchange, address.routing_key,
            properties=properties, origin_queue=queue, problem=fault_of(error),
        )  # fmt: skip


def fault_of(error: BaseException) -> Invalid:
    """What is said of a message that made our own code raise."""
    return Invalid("crash", FAULT, {"message": f"a fault in the worker, see its log: {type(error).__name__}"})


def _taken_in(
    address: Arrival, queue: str, tag: int, generation: int, properties: BasicProperties, body: bytes
) -> Delivery:
    came = provenance(queue, address.exchange, address.routing_key, properties)
    headers = _believed(properties.headers or {}, ours=came.ours, redelivered=address.redelivered)
    encoding, reply_to, correlation_id = properties.content_encoding, properties.reply_to, properties.correlation_id
    known = correlation_id if came.ours and isinstance(correlation_id, str) else None
    waiting = known and came.answered and isinstance(reply_to, str) and reply_to.startswith(_REPLY_TO)
    return Delivery(
        Message.from_headers(
            body,
            kind=came.kind,
            door=came.door,
            content_encoding=None if encoding is None else text(encoding),
            headers={} if came.door in FOREIGN else headers,
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
        _unreadable(properties) if type(properties) is Undecodable else None,
    )


def _believed(headers: Mapping[Any, Any], *, ours: bool, redelivered: bool) -> Mapping[Any, Any]:
    """Of a stranger only what takes away from him: so a shim's message, moved or given up by the broker, keeps it.

    And the count of deliveries once the broker has written it, whoever did before.
    """
    if headers and not ours:
        headers = {name: headers[name] for name in (HEADER_SPEAKS_FOR, HEADER_SPEAKS_AS, _COUNT) if name in headers}
    if redelivered or _COUNT not in headers:
        return headers
    return {name: value for name, value in headers.items() if name != _COUNT}


def _unreadable(properties: Undecodable) -> Invalid:
    return Invalid(
        "broker", "envelope", {"properties": f"the message's AMQP properties can't be read: {properties.why}"}
    )
