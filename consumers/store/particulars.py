"""What is told of a letter's message, for people to find it by: who sent it, whose it is, what was changed by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from schemas.kinds import KINDS
from schemas.message import LONGEST_SENDER, SENDER, Message
from schemas.validation.decode import beginning, inflate
from schemas.verdict import Invalid

SEARCHED_BYTES: Final = 1024 * 1024
"""So much of a compressed body is kept inflated, to search in."""
_INFLATED_BYTES: Final = 4 * 1024 * 1024
"""A compressed body that is larger tells nothing: a letter is not worth inflating a bomb once more."""
_LONGEST_FACT: Final = 1000
_BODY: Final = ("service_hostname", "remote_hostname", "user_agent")
SENDER_MEMBERS: Final = (*SENDER, *(name for name in _BODY if name not in SENDER))
"""What can be known of a sender."""
_BY: Final = ("who", "userid", "address", "service_hostname", "remote_hostname", "user_agent")
"""What a sender is called by: what the shim knows for sure comes before what anybody can write."""

_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Particulars:
    """`facts` are some of a kind's TELLS, `sender` what is known of who sent it; `plain` is the beginning of a
    compressed body, inflated. All of it is a stranger's text, fit for a text column."""

    facts: Mapping[str, str] = field(default_factory=dict)
    sender: Mapping[str, str] = field(default_factory=dict)
    plain: bytes | None = None


def particulars(message: Message) -> Particulars:
    """What a message tells; what can't be read tells nothing."""
    payload, encoding = message.payload, message.content_encoding
    body, plain = inflate(payload, encoding, _INFLATED_BYTES) if encoding else payload, None
    if encoding:
        plain = beginning(payload, encoding, SEARCHED_BYTES) if isinstance(body, Invalid) else body[:SEARCHED_BYTES]
    facts = {} if isinstance(body, Invalid) else _facts(message.kind, body)
    # What its shim knows comes before what a body says.
    known: dict[str, Any] = {name: facts[name] for name in _BODY if name in facts}
    known |= _known(message.sender)
    return Particulars(facts, fit(known), plain or None)


def fit(sender: Mapping[str, Any]) -> dict[str, str]:
    """Of a sender the members that there are, in their order, each cut to LONGEST_SENDER characters."""
    given = ((name, sender.get(name)) for name in SENDER_MEMBERS)
    return {name: storable(value)[:LONGEST_SENDER] for name, value in given if isinstance(value, str) and value}


def sent_by(sender: Mapping[str, str]) -> str | None:
    """What a sender is called where there is room for one word."""
    return next((sender[name] for name in _BY if name in sender), None)


def storable(text: str) -> str:
    """As PostgreSQL holds it: its text has neither NUL nor a lone surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _facts(kind: str, body: bytes) -> dict[str, str]:
    tells = KINDS[kind].tells if kind in KINDS else {}
    try:
        members = _TOP.decode(body) if tells else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    found = {name: _text(members[member]) for name, member in tells.items() if member in members}
    return {name: storable(text[:_LONGEST_FACT]) for name, text in found.items() if text}


def _text(raw: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, ValueError):
        return ""


def _known(header: str | None) -> Mapping[str, Any]:
    try:
        read = msgspec.json.decode(header or "{}")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return {name: read[name] for name in SENDER if name in read} if isinstance(read, dict) else {}
