"""The judge: from a message to a candidate row or to every reason against it; total and pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas.doors import PROFILES, STRAYS
from schemas.kinds import KINDS
from schemas.kinds.columns import Row, RowType, columns
from schemas.kinds.extra import flagged
from schemas.kinds.formats import Fault
from schemas.kinds.kind import Document
from schemas.kinds.stray import count
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.decode import Body, decode
from schemas.validation.drift import Drift
from schemas.validation.nesting import room, too_deep
from schemas.validation.redaction import Redaction
from schemas.validation.validator import Validator, compile_validator
from schemas.verdict import FOREIGN, Invalid
from schemas.wording import faults as schema_faults
from schemas.wording import first, shorten

_NAME: Final = msgspec.json.Decoder(str | None)
_NODE: Final = "node_name"
"""What every message whose URL names no node calls the one that it is of."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A message that can be stored, as far as the message alone can tell: its kind's name and its row.

    `drift` is what it has otherwise than its kind's documented schema.
    """

    kind: str
    row: Row
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges any message by its kind's schema, in the profile of the door it came through.

    `validators` is (kind, door's word) -> compiled schema; limits are bytes once inflated, and levels of nesting.
    `redaction` cuts out of a row what must not be stored.
    """

    validators: Mapping[tuple[str, str], Validator]
    max_bytes: int
    max_depth: int
    redaction: Redaction | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Judge:
        """Reads and compiles the schema files: build one at start-up and keep it."""
        validators = {
            (name, door): compile_validator(kind, getattr(settings, profile))
            for name, kind in KINDS.items()
            for door, profile in PROFILES.items()
        }
        return cls(
            MappingProxyType(validators),
            settings.max_inflated_bytes,
            settings.max_depth,
            Redaction.from_settings(settings),
        )

    @property
    def slow(self) -> list[tuple[str, str]]:
        """(kind, door) of those whose kind has a fast path that could not be made of its schema."""
        return sorted(
            key for key, each in self.validators.items() if each.fastpath is None and each.kind.fastpath is not None
        )

    def __call__(self, message: Message) -> Candidate | Invalid:
        """The candidate, or what is wrong, field by field; never raises, whatever the bytes."""
        try:
            return self._judged(message)
        except RecursionError:
            pass
        try:
            with room(self.max_depth):
                return self._judged(message)
        except RecursionError:
            # max_depth may be set higher than the interpreter can follow.
            return Invalid("decode", "too_deep", {"message": "nested deeper than this machine can read"})

    def _judged(self, message: Message) -> Candidate | Invalid:
        validator = self.validators.get((message.kind, message.door))
        if validator is None:
            text = f"no such kind of message: {shorten(message.kind)!r} by door {shorten(message.door)!r}"
            return Invalid("decode", "unknown_kind", {"message": text})
        payload = message.payload
        plain = message.content_encoding is None and message.speaks_for is None and message.speaks_as is None
        if plain and validator.fastpath is not None and len(payload) <= self.max_bytes:
            row, drift = _at_once(validator, message)
            if row is not None and not too_deep(self.max_depth, payload):
                return Candidate(validator.kind.name, row if self.redaction is None else self.redaction(row), drift)
        body = decode(
            payload,
            message.content_encoding,
            max_bytes=self.max_bytes,
            max_depth=self.max_depth,
            strays=(message.kind, message.door) in STRAYS,
        )
        judged = body if isinstance(body, Invalid) else _judge(validator, message, body)
        return judged if self.redaction is None else _redacted(judged, self.redaction)


def _redacted(judged: Candidate | Invalid, redaction: Redaction) -> Candidate | Invalid:
    if isinstance(judged, Invalid):
        return judged
    row = redaction(judged.row)
    return judged if row is judged.row else Candidate(judged.kind, row, judged.drift)


def _at_once(validator: Validator, message: Message) -> tuple[Row | None, tuple[Drift, ...]]:
    """The row that a fast path finds, and its drift. By the documented schema first: what fits that has none."""
    assert validator.fastpath is not None
    documented = validator.documented
    if documented is None or documented.fastpath is None:
        return validator.fastpath(message.payload), ()
    row = documented.fastpath(message.payload)
    if row is not None:
        return row, ()
    row = validator.fastpath(message.payload)
    return row, () if row is None else documented.of_row(row)


def _judge(validator: Validator, message: Message, body: Body) -> Candidate | Invalid:
    if message.speaks_for is not None and _owner(validator, message, body) not in message.speaks_for:
        return Invalid("meaning", FOREIGN, {"message": "its sender may not speak for this organization"})
    if message.speaks_as is not None and _node(message, body) not in (None, message.speaks_as):
        return Invalid("meaning", FOREIGN, {"message": "its sender may not speak for this node"})
    document = validator.read(body)
    if isinstance(document, Invalid):
        return document
    kind, values = validator.kind, document.values
    if not validator.is_valid(values):
        refused = _refusal(validator, message, document)
        if refused is not None:
            return refused
    elif faults := validator.faults(message, values):
        return _meaningless(faults)
    row = kind.make(message, document)
    drift = () if validator.documented is None else validator.documented.of(message, values, body.members)
    return Candidate(kind.name, _flagged(row, body.strays) if body.strays else row, drift)


def _flagged(row: Row, strays: int) -> Row:
    """The row of a message in which so many bytes are marked, flagged, as are those of its rows that have some."""
    kind: RowType = type(row)
    values = list(row)
    for at, column in enumerate(columns(kind)):
        if column.extra:
            values[at] = flagged(values[at], strays)
        elif column.rows is not None:
            marked = [(each, sum(count(value) for value in each if isinstance(value, str))) for each in values[at]]
            values[at] = tuple(_flagged(each, strays) if strays else each for each, strays in marked)
    return row._make(values)


def _owner(validator: Validator, message: Message, body: Body) -> str | None:
    """The organization that a message speaks for: its URL's, or the one its body names."""
    return message.organization if validator.owner is None else _name(body, validator.owner)


def _node(message: Message, body: Body) -> str | None:
    """The node that a message speaks for: its URL's, or the one its body names."""
    return message.node if message.node is not None else _name(body, _NODE)


def _name(body: Body, member: str) -> str | None:
    try:
        name: str | None = _NAME.decode(body.members.get(member, b"null"))
    except msgspec.DecodeError:
        return None
    return name


def _refusal(validator: Validator, message: Message, document: Document) -> Invalid | None:
    """What the reference says of a message that the fast validator refused; None when nothing is wrong."""
    values = document.values
    details = schema_faults(validator.reference, values)
    meant = validator.faults(message, values) | _line_breaks(validator, values)
    if not details:
        return _meaningless(meant) if meant else None
    # All faults at once, one a field: where the schema has spoken, meaning is silent.
    told = details | {field: fault.text for field, fault in meant.items() if field not in details}
    return Invalid("schema", "schema", first(told))


def _line_breaks(validator: Validator, values: Mapping[str, Any]) -> dict[str, Fault]:
    """To the reference `$` matches before a final line break, which is in nobody's intention."""
    return {
        member: Fault("line_break", "ends in a line break")
        for member in validator.patterned
        if isinstance(value := values.get(member), str) and value.endswith("\n")
    }


def _meaningless(faults: Mapping[str, Fault]) -> Invalid:
    reason = next(iter(faults.values())).reason
    return Invalid("meaning", reason, first({field: fault.text for field, fault in faults.items()}))
