"""A dead letter: a message that could not be stored, with its reason, its fingerprint and everything to replay it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from consumers.broker.properties import envelope
from consumers.delivery import Delivery
from consumers.store.particulars import particulars, sent_by, storable
from schemas.labels import Stage
from schemas.message import Message
from schemas.verdict import Conflict, UnknownRun, Unstorable


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message is a letter: the stage it failed at, a stable code, text per field, SQLSTATE if there is one."""

    stage: Stage
    code: str
    details: Mapping[str, str]
    sqlstate: str | None = None

    @classmethod
    def of(cls, verdict: Unstorable) -> Reason:
        """The reason in a verdict that stores nothing."""
        return cls(verdict.stage, verdict.reason, verdict.details, verdict.sqlstate)

    def fingerprint(self, kind: str) -> str:
        """The same cause gives the same 16 hexadecimal digits, whatever ids, numbers and values it names."""
        cause = [kind, self.stage, self.code, self.sqlstate]
        if self.code in _SAID_BY_CODE:
            cause += sorted(_plain(name) for name in self.details)
        else:
            cause += sorted(f"{_plain(name)}={_plain(text)}" for name, text in self.details.items())
        return hashlib.sha256(json.dumps(cause).encode()).hexdigest()[:16]


_SAID_BY_CODE: Final = (Conflict.reason, UnknownRun.reason)
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


def without_values(code: str, details: Iterable[tuple[str, str]]) -> str:
    """What letters of one cause have in common, in words: the same for all that have one fingerprint."""
    if code in _SAID_BY_CODE:
        names = sorted({_plain(name) for name, _ in details})
        return f"{code.replace('_', ' ')}: {', '.join(names)}"
    told = {f"{_plain(name)}: {_plain(text)}" for name, text in details}
    # A value is found once, and what is left of it, nothing, once more.
    return "; ".join(sorted(told)).replace("……", "…")


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
    says = particulars(message)
    return {
        "message_key": message_key(delivery),
        "stage": reason.stage,
        "reason": _storable(reason.code),
        "details": json.dumps(dict(reason.details)),
        "sqlstate": reason.sqlstate,
        "fingerprint": reason.fingerprint(message.kind),
        "kind": _storable(message.kind),
        "door": message.door,
        "organization": _storable(message.organization or says.facts.get("organization")),
        "node": _storable(message.node or says.facts.get("node") or message.node),
        "run_id": _storable(message.run_id),
        "exchange": _storable(delivery.exchange),
        "routing_key": _storable(delivery.routing_key),
        "content_encoding": _storable(message.content_encoding),
        "properties": json.dumps(envelope(delivery.properties)),
        "payload": message.payload,
        "worker_version": worker_version,
        "sender": json.dumps(says.sender) if says.sender else None,
        "sent_by": sent_by(says.sender),
        "entity": says.facts.get("entity"),
        "requestor": says.facts.get("requestor"),
        "plain": says.plain,
    }


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)
