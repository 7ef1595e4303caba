"""A kind is one sort of message: its schema for each profile, what stays unread, what it means, what row it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.kinds.formats import Fault
from schemas.kinds.rows import Row
from schemas.message import Message


class Document(NamedTuple):
    """A decoded message, on its way to a row.

    `members` is the JSON text of every top-level member, `values` what the schema sees of those it names
    (an opaque member is an empty value of its type), `elements` the same as `members` for each object in
    the arrays that the kind takes apart.
    """

    text: str
    members: dict[str, msgspec.Raw]
    values: dict[str, Any]
    elements: Mapping[str, list[dict[str, msgspec.Raw]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One sort of message.

    `schemas` is profile -> file beside this module. `opaque` members go to the row as the sender's text,
    unread: their schemas may speak of `type` only. `elements` is member -> opaque members of each object
    in that array. `faults` gets the envelope and the values, of which any may be absent or ill-typed, and
    says field -> Fault; `row` gets a message without faults. Neither raises.
    """

    name: str
    schemas: Mapping[str, str]
    faults: Callable[[Message, Mapping[str, Any]], dict[str, Fault]]
    row: Callable[[Message, Document], Row]
    opaque: frozenset[str] = frozenset()
    elements: Mapping[str, frozenset[str]] = field(default_factory=dict)
    express: tuple[Sequence[str], Callable[[Sequence[Any]], Row | None]] | None = None
    """The members in the order of the row, and the row of values that the schema takes; None: the long way."""
