"""A message to be sent again: always through our own exchange, where it is believed what a letter knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.broker.properties import anew
from consumers.broker.publisher import ConfirmingPublisher, NotTaken
from schemas.doors import IMPLIED
from schemas.message import HEADER_DOOR, HEADER_ORIGIN_EXCHANGE, HEADER_ORIGIN_ROUTING_KEY, Message
from schemas.topology import INGEST_EXCHANGE, ROUTING_KEYS


@dataclass(frozen=True, slots=True)
class Posting:
    """`exchange` and `routing_key`: where it was published first. `properties`: AMQP's, in a letter's form."""

    message: Message
    exchange: str
    routing_key: str
    properties: Mapping[str, Any]

    def publish(self, publisher: ConfirmingPublisher, extra: Mapping[str, Any]) -> None:
        """Send it, with headers of ours besides; returns once it is confirmed. Raises NotTaken or BrokerUnavailable."""
        message = self.message
        routing_key = ROUTING_KEYS.get(message.kind)
        if routing_key is None:
            raise NotTaken(
                f"no kind of message is called {message.kind!r}; keep its bytes by `chef-ingest dead export`"
            )
        ours: dict[str, Any] = {**message.headers(), **extra}
        if (self.exchange, self.routing_key, message.door) != (INGEST_EXCHANGE, routing_key, IMPLIED):
            ours |= {
                HEADER_ORIGIN_EXCHANGE: self.exchange,
                HEADER_ORIGIN_ROUTING_KEY: self.routing_key,
                HEADER_DOOR: message.door,
            }
        properties = anew(self.properties, message.content_encoding, ours)
        properties.type = message.kind
        publisher.publish(INGEST_EXCHANGE, routing_key, message.payload, properties)


def as_posted(message: Message, routing_key: str) -> Posting:
    """A message as the shim would have published it."""
    properties = {"content_type": "application/json", "type": message.kind, "headers": message.headers()}
    return Posting(message, INGEST_EXCHANGE, routing_key, properties)
