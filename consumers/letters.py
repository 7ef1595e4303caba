"""A dead letter: a message that could not be stored, with its reason, its fingerprint and everything to replay it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from consumers.delivery import Delivery
from schemas.message import Message
from schemas.verdict import Conflict, Invalid, Stage, UnknownRun

_PROPERTIES = ("content_type", "message_id", "correlation_id", "timestamp", "type", "app_id", "priority",
               "expiration", "user_id", "delivery_mode")  # fmt: skip

DEATH_HEADERS = (
    "x-death", "x-delivery-count", "x-acquired-count", "x-opt-", "x-first-death", "x-last-death",
)  # fmt: skip
"""How the broker's own headers about failed deliveries begin; a message that is published anew leaves them off."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message is a letter: the stage it failed at, a stable code, text per field, SQLSTATE if there is one."""

    stage: Stage
    code: str
    details: Mapping[str, str]
    sqlstate: str | None = None

    @classmethod
    def of(cls, verdict: Invalid | Conflict | UnknownRun) -> Reason:
        """The reason in a verdict that stores nothing."""
        if isinstance(verdict, Invalid):
            return cls(verdict.stage, verdict.reason, verdict.details, verdict.sqlstate)
        if isinstance(verdict, Conflict):
            return cls("meaning", "conflict", verdict.details)
        return cls("meaning", "unknown_run", {"run_id": verdict.text})

    def fingerprint(self, kind: str) -> str:
        """The same cause gives the same 16 hexadecimal digits, whatever ids, numbers and values it names."""
        cause = [kind, self.stage, self.code, self.sqlstate]
        if self.code in _SAID_BY_CODE:
            cause += sorted(_plain(name) for name in self.details)
        else:
            cause += sorted(f"{_plain(name)}={_plain(text)}" for name, text in self.details.items())
        return hashlib.sha256(json.dumps(cause).encode()).hexdigest()[:16]


_SAID_BY_CODE = ("conflict", "unknown_run")
"""Codes that say it all: their texts only quote what differs from message to message."""
_VALUE = re.compile(
    r".*(?= (does not match|is not (of type|a multiple|valid|a UUID|a time|a valid)|is too |is (less|greater) than"
    r"|should be non-empty|has non-unique))",
    re.DOTALL,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[0-9]+")


def _plain(text: str) -> str:
    return _NUMBER.sub("#", _UUID.sub("#", _VALUE.sub("…", text)))


def message_key(delivery: Delivery) -> bytes:
    """32 bytes that are the same for the same message: payload, kind and envelope facts, as a letter keeps them."""
    return key_of(delivery.message, delivery.exchange, delivery.routing_key)


def key_of(message: Message, exchange: str, routing_key: str) -> bytes:
    """`message_key` of a message that was, or will be, published so."""
    facts = (
        message.kind, message.door, message.organization, message.node, message.run_id,
        message.content_encoding, exchange, routing_key,
    )  # fmt: skip
    kept = json.dumps([_storable(fact) for fact in facts])
    return hashlib.sha256(kept.encode() + b"\n" + message.payload).digest()


def letter(delivery: Delivery, reason: Reason, worker_version: str) -> dict[str, Any]:
    """The parameters of `insert_letter`, fit for any database: no text column ever refuses them."""
    message = delivery.message
    return {
        "message_key": message_key(delivery),
        "stage": reason.stage,
        "reason": _storable(reason.code),
        "details": json.dumps(dict(reason.details)),
        "sqlstate": reason.sqlstate,
        "fingerprint": reason.fingerprint(message.kind),
        "kind": _storable(message.kind),
        "door": message.door,
        "organization": _storable(message.organization or _organization(message.payload)),
        "node": _storable(message.node),
        "run_id": _storable(message.run_id),
        "exchange": _storable(delivery.exchange),
        "routing_key": _storable(delivery.routing_key),
        "content_encoding": _storable(message.content_encoding),
        "properties": json.dumps(envelope(delivery.properties)),
        "payload": message.payload,
        "worker_version": worker_version,
    }


class _Named(msgspec.Struct):
    organization_name: str | None = None


def _organization(payload: bytes) -> str | None:
    """An action names its organization in its body; for selectors only, so what can't be read is None."""
    try:
        return msgspec.json.decode(payload, type=_Named).organization_name
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


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


def _storable(text: str | None) -> str | None:
    # PostgreSQL text holds neither NUL nor a lone surrogate.
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
