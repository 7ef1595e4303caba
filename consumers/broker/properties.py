"""AMQP properties and headers as JSON and back, and as a message that is published anew may carry them."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pika

from schemas.message import (
    HEADER_LETTER,
    HEADER_ORIGIN_EXCHANGE,
    HEADER_ORIGIN_ROUTING_KEY,
    HEADER_REPLAY,
    HEADER_RETRIES,
)

_PROPERTIES = ("content_type", "message_id", "correlation_id", "timestamp", "type", "app_id", "priority",
               "expiration", "user_id", "delivery_mode")  # fmt: skip

DEATH_HEADERS = (
    "x-death", "x-delivery-count", "x-acquired-count", "x-opt-", "x-first-death", "x-last-death",
)  # fmt: skip
"""How the broker's own headers about failed deliveries begin; a message that is published anew leaves them off."""


_OURS = (HEADER_LETTER, HEADER_REPLAY, HEADER_RETRIES, HEADER_ORIGIN_EXCHANGE, HEADER_ORIGIN_ROUTING_KEY)
_KEPT = ("content_type", "message_id", "timestamp", "type", "app_id", "priority")
"""Not: who waited for the answer, when it was to expire, and as whom it was published (the broker checks that)."""


def envelope(properties: Any) -> dict[str, Any]:
    """AMQP properties and headers as a JSON-able dict, absent ones left out; `restored` is the inverse."""
    if properties is None:
        return {}
    facts = {name: getattr(properties, name, None) for name in _PROPERTIES}
    facts["headers"] = properties.headers or None
    return {name: _plain_json(value) for name, value in facts.items() if value is not None}


def _plain_json(value: Any) -> Any:
    # JSON has fewer types than AMQP: the others become an object with one member, its name the type.
    if isinstance(value, Mapping):
        members = {str(name): _plain_json(each) for name, each in value.items()}
        return {"!table": members} if any(name.startswith("!") for name in members) else members
    if isinstance(value, list | tuple):
        return [_plain_json(each) for each in value]
    if isinstance(value, bytes | bytearray):
        return {"!bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"!time": value.isoformat()}
    if isinstance(value, Decimal) or (isinstance(value, float) and not math.isfinite(value)):
        return {"!decimal" if isinstance(value, Decimal) else "!float": str(value)}
    return value if isinstance(value, str | int | float | None) else str(value)


def sendable(value: Any) -> Any:
    """A header's value as pika can write it: what it reads and can't write (a float) becomes text, so that no
    header keeps a message from being moved."""
    if isinstance(value, Mapping):
        return {name: sendable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [sendable(each) for each in value]
    if isinstance(value, bool | str | bytes | None):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, datetime) and value.year >= 1970:
        return value
    return str(value)


_RESTORE: Mapping[str, Callable[[Any], Any]] = {
    "!bytes": base64.b64decode,
    "!time": datetime.fromisoformat,
    "!decimal": Decimal,
    "!float": float,
    "!table": lambda members: {name: restored(each) for name, each in members.items()},
}


def restored(value: Any) -> Any:
    """The AMQP value that `envelope` made JSON-able."""
    if isinstance(value, list):
        return [restored(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    name = next(iter(value), "")
    if len(value) == 1 and name in _RESTORE:
        return _RESTORE[name](value[name])
    return {name: restored(each) for name, each in value.items()}


def anew(stored: Mapping[str, Any], content_encoding: str | None, extra: Mapping[str, Any]) -> pika.BasicProperties:
    """The properties of a message that is published anew, from its `envelope`, without what belonged to its first
    journey; `extra` headers are added."""
    headers = restored(stored.get("headers") or {})
    kept = {name: value for name, value in headers.items() if not name.startswith(DEATH_HEADERS) and name not in _OURS}
    facts = {name: restored(stored[name]) for name in _KEPT if name in stored}
    return pika.BasicProperties(
        content_encoding=content_encoding, delivery_mode=2, headers={**sendable(kept), **extra} or None, **facts
    )
