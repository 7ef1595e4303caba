"""A dead letter: a message that could not be stored, with its reason, its fingerprint and everything to replay it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumers.delivery import Delivery
from schemas.verdict import Conflict, Invalid, Stage, UnknownRun

_PROPERTIES = ("content_type", "message_id", "correlation_id", "timestamp", "type", "app_id", "priority",
               "expiration", "user_id", "delivery_mode")  # fmt: skip


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
        cause += sorted(f"{_plain(name)}={_plain(text)}" for name, text in self.details.items())
        return hashlib.sha256(json.dumps(cause).encode()).hexdigest()[:16]


_VALUE = re.compile(r".*(?= (does not match|is not of type|is too |is not a multiple))", re.DOTALL)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[0-9]+")


def _plain(text: str) -> str:
    return _NUMBER.sub("#", _UUID.sub("#", _VALUE.sub("…", text)))


def message_key(delivery: Delivery) -> bytes:
    """32 bytes that are the same for the same message: payload, kind and envelope facts."""
    message = delivery.message
    envelope = [
        message.kind, message.door, message.organization, message.node, message.run_id,
        message.content_encoding, delivery.exchange, delivery.routing_key,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(envelope).encode() + b"\n" + message.payload).digest()


def letter(delivery: Delivery, reason: Reason, worker_version: str) -> dict[str, Any]:
    """The parameters of `insert_letter`, fit for any database: no text column ever refuses them."""
    message = delivery.message
    return {
        "message_key": message_key(delivery),
        "stage": reason.stage,
        "reason": reason.code,
        "details": json.dumps(dict(reason.details)),
        "sqlstate": reason.sqlstate,
        "fingerprint": reason.fingerprint(message.kind),
        "kind": _storable(message.kind),
        "door": message.door,
        "organization": _storable(message.organization),
        "node": _storable(message.node),
        "run_id": _storable(message.run_id),
        "exchange": _storable(delivery.exchange),
        "routing_key": _storable(delivery.routing_key),
        "content_encoding": _storable(message.content_encoding),
        "properties": json.dumps(envelope(delivery.properties), default=str),
        "payload": message.payload,
        "worker_version": worker_version,
    }


def envelope(properties: Any) -> dict[str, Any]:
    """AMQP properties and headers as a JSON-able dict, absent ones left out."""
    if properties is None:
        return {}
    facts = {name: getattr(properties, name, None) for name in _PROPERTIES}
    facts["headers"] = properties.headers or None
    return {name: value for name, value in facts.items() if value is not None}


def _storable(text: str | None) -> str | None:
    # PostgreSQL text holds neither NUL nor a lone surrogate.
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
