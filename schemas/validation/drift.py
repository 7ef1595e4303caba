"""Drift: what a message has otherwise than its kind's documented schema, by member and by what is otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, cast

from jsonschema_rs import Draft4Validator

from schemas.kinds import KINDS
from schemas.kinds.columns import Row
from schemas.kinds.formats import BLANK_NAME, Fault
from schemas.labels import UNKNOWN_MEMBER, Difference
from schemas.message import Message
from schemas.printable import printable
from schemas.verdict import FOREIGN, Unstorable
from schemas.wording import shorten

_LONGEST: Final = 100
_WHOLE: Final = "message"
"""The field of a fault that is no member's."""
_OTHERWISE: Final[Difference] = "other"
_TYPES: Final[Mapping[str, str]] = {
    "{": "an object", "[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null",
}  # fmt: skip
"""By how JSON text begins."""

_SAID: Final[Sequence[tuple[str, Difference]]] = (
    (" is a required property", "missing"),
    (" is a dependency of ", "missing"),
    (" is not of type ", "type"),
    (" is not one of ", "enum"),
    (" does not match ", "pattern"),
    (" is not a UUID", "pattern"),
    (" is not a time", "time"),
    (" is not a valid ", "name"),
)
"""How a fault is worded, and what it is."""
_QUOTING: Final = frozenset({"enum", "pattern", "time", "name"})
"""What is said of short texts that have a form; other values may be anything, and hold secrets."""


class Drift(NamedTuple):
    """One thing that is otherwise: in which member, what of it, and an example that is fit for a terminal."""

    member: str
    difference: Difference
    example: str


class Form(NamedTuple):
    """What is asked of a column: that it is there, and that a value fits; `word` says of one that does not."""

    at: int
    member: str
    needed: bool
    word: Difference
    fits: Callable[[str], object]


@dataclass(frozen=True)
class Documented:
    """A kind's documented schema, beside a tolerant one by which messages are taken.

    `fastpath` takes what fits it, as the validator's own takes what fits that; `columns` are the members of its rows,
    and `forms` what is asked of those that another schema's fast path took.
    """

    faults: Callable[[Message, Mapping[str, Any]], dict[str, Fault]]
    members: Mapping[str, Mapping[str, Any]]
    required: Sequence[str]
    opaque: frozenset[str]
    columns: Sequence[str]
    schema: Draft4Validator
    fastpath: Callable[[bytes], Row | None] | None
    forms: Sequence[Form] = field(init=False)

    def __post_init__(self) -> None:
        asked = (self._form(at, name) for at, name in enumerate(self.columns) if name in self.members)
        object.__setattr__(self, "forms", tuple(form for form in asked if form is not None))

    def of_row(self, row: Row) -> tuple[Drift, ...]:
        """The drift of a row that a fast path made of a message: all its members are ones that we know, and mean
        something."""
        found = []
        for at, member, needed, word, fits in self.forms:
            value = row[at]
            if value is None:
                if needed:
                    found.append(Drift(member, "missing", "nothing"))
            elif not fits(value):
                found.append(
                    Drift(member, word, self._example(member, value if member in self.opaque else json.dumps(value)))
                )
        return tuple(found)

    def of(self, message: Message, values: Mapping[str, Any], sent: Iterable[str]) -> tuple[Drift, ...]:
        """The drift of a message: `values` are what a schema sees of it, `sent` the names of all its members."""
        found = {name: Drift(name, "missing", "nothing") for name in self.required if name not in values}
        for error in self.schema.iter_errors(values):
            if error.instance_path:
                member, word = str(error.instance_path[0]), str(error.schema_path[-1])
                found[member] = Drift(member, cast(Difference, word), self._example(member, json.dumps(values[member])))
        for member, fault in self.faults(message, values).items():
            if fault.reason == BLANK_NAME:
                found[member] = Drift(member, "name", self._example(member, json.dumps(values[member])))
        stray = next((name for name in sent if name not in self.members), None)
        if stray is not None:
            found[UNKNOWN_MEMBER] = Drift(UNKNOWN_MEMBER, "unknown", _cut(stray))
        return tuple(found.values())

    def _form(self, at: int, member: str) -> Form | None:
        """None where a fast path takes nothing that is otherwise."""
        schema = self.members[member]
        needed = member in self.required and schema.get("type") == "string"
        if member in self.opaque:
            return Form(at, member, needed, "type", _is_object) if schema.get("type") == "object" else None
        if "enum" in schema:
            return Form(at, member, needed, "enum", frozenset(schema["enum"]).__contains__)
        if "pattern" in schema:
            return Form(at, member, needed, "pattern", re.compile(schema["pattern"]).search)
        return Form(at, member, needed, "type", _anything) if needed else None

    def _example(self, member: str, text: str) -> str:
        # What is opaque holds secrets.
        return _TYPES.get(text[:1], "a number") if member in self.opaque else _cut(text)


def _is_object(text: str) -> bool:
    return text.startswith("{")


def _anything(value: str) -> bool:
    return True


def of_letter(kind: str, invalid: Unstorable) -> tuple[Drift, ...]:
    """What makes a letter of a message, by its faults; nothing where that is no matter of its content."""
    if invalid.stage not in ("decode", "schema", "meaning") or invalid.reason == FOREIGN:
        return ()
    known = _members(kind)
    found: dict[tuple[str, str], Drift] = {}
    for where, text in invalid.details.items():
        top = where.partition(".")[0]
        member = top if top in known or top == _WHOLE else UNKNOWN_MEMBER
        phrase, word = next((each for each in _SAID if each[0] in text), ("", _OTHERWISE))
        if invalid.stage == "decode":
            word = "unreadable"
        quoting = word in _QUOTING and "." not in where and text[0] in "'\""
        example = text if quoting or not phrase else "..." + text[text.index(phrase) :]
        found.setdefault((member, word), Drift(member, word, _cut(example)))
    return tuple(found.values())


@cache
def _members(kind: str) -> frozenset[str]:
    """The members that any schema of a kind names."""
    folder = files("schemas.kinds") / kind
    schemas = [json.loads((folder / name).read_text("utf-8")) for name in sorted(set(KINDS[kind].schemas.values()))]
    return frozenset(name for schema in schemas for name in schema["properties"])


def _cut(text: str) -> str:
    return shorten(printable(shorten(text, _LONGEST)), _LONGEST)
