"""AMQP properties and headers: read whatever they hold, as JSON and back, and as what is published anew may carry."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pika.spec import BasicProperties

from schemas.message import OUR_HEADERS

_PROPERTIES = ("content_type", "message_id", "correlation_id", "timestamp", "type", "app_id", "priority",
               "expiration", "user_id", "delivery_mode")  # fmt: skip

DEEPEST: Final = 32
"""Levels of tables and arrays in headers that are read. The broker's own, x-death, has three."""

RAW: Final = "!raw"
"""The only member of the envelope of a property block that can't be read: its bytes."""

DEATH_HEADERS = (
    "x-death", "x-delivery-count", "x-acquired-count", "x-opt-", "x-first-death", "x-last-death",
)  # fmt: skip
"""How the broker's own headers about failed deliveries begin; a message that is published anew leaves them off."""


_KEPT = ("content_type", "message_id", "timestamp", "type", "app_id", "priority")
"""Not: who waited for the answer, when it was to expire, and as whom it was published (the broker checks that)."""


class Undecodable(BasicProperties):  # type: ignore[misc]
    """A property block that can't be read: no property is set, `raw` has its bytes and `why` says what was found."""

    def __init__(self, raw: bytes, why: str) -> None:
        super().__init__()
        self.raw = raw
        self.why = why


def read(encoded: bytes) -> BasicProperties:
    """The properties in the bytes of a content header, after its body size; never raises.

    pika reads what Python can hold. What is left is Undecodable: a time after the year 9999, a number that is
    none, a type of field that nobody knows, tables within tables until the stack ends. [AMQP 0-9-1, 4.2.5 and 4.2.6]
    """
    try:
        properties = BasicProperties().decode(encoded)
    except Exception as error:  # Whatever it is that a sender found: his message is a delivery all the same.
        return Undecodable(bytes(encoded), f"{type(error).__name__}: {error}"[:200])
    if properties.headers and _deeper(properties.headers, DEEPEST):
        return Undecodable(bytes(encoded), f"headers nested deeper than {DEEPEST} levels")
    return properties


def text(value: Any) -> str:
    """A short string as text: where it is no UTF-8, its odd bytes are written as `\\xff`."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _deeper(value: Any, levels: int) -> bool:
    inner = [value]
    for _ in range(levels):
        inner = [
            each
            for outer in inner
            for each in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(each, Mapping | list)
        ]
        if not inner:
            return False
    return True


def envelope(properties: Any) -> dict[str, Any]:
    """AMQP properties and headers as a JSON-able dict, absent ones left out; `restored` is the inverse."""
    if properties is None:
        return {}
    if isinstance(properties, Undecodable):
        return {RAW: base64.b64encode(properties.raw).decode()}
    facts = {name: getattr(properties, name, None) for name in _PROPERTIES}
    facts["headers"] = properties.headers or None
    return {name: _plain_json(value) for name, value in facts.items() if value is not None}


def _plain_json(value: Any) -> Any:
    # JSON has fewer types than AMQP: the others become an object with one member, its name the type.
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            return {"!pairs": [[_plain_json(name), _plain_json(each)] for name, each in value.items()]}
        members = {name: _plain_json(each) for name, each in value.items()}
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


def carried(headers: Mapping[Any, Any]) -> dict[Any, Any]:
    """The headers that a message takes along when it is published anew: not the broker's own, and not those under
    names of ours, which would be believed."""
    return {
        name: sendable(value)
        for name, value in headers.items()
        if name not in OUR_HEADERS and not text(name).startswith(DEATH_HEADERS)
    }


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
    "!pairs": lambda pairs: {restored(name): restored(each) for name, each in pairs},
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


def anew(stored: Mapping[str, Any], content_encoding: str | None, ours: Mapping[str, Any]) -> BasicProperties:
    """The properties of a message that is published anew, from its `envelope`, without what belonged to its first
    journey; of our own headers it has those in `ours` and no others."""
    headers = carried(restored(stored.get("headers") or {}))
    facts = {name: restored(stored[name]) for name in _KEPT if name in stored}
    return BasicProperties(
        content_encoding=content_encoding, delivery_mode=2, headers={**headers, **ours} or None, **facts
    )
