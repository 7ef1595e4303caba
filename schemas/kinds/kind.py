"""A kind is one sort of message: its schemas, what stays unread, what it means, its row, its way and its tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from schemas.kinds.columns import Row, RowType, columns
from schemas.kinds.formats import Fault
from schemas.message import Message

TELLS: Final = ("organization", "node", "entity", "requestor", "service_hostname", "remote_hostname", "user_agent")
"""What the body of a message may tell of it: whose it is, what was changed, by whom, and from where it was sent."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


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
class Table:
    """A table that a kind's messages end in.

    `rights` are those that a worker needs. `month` is the column by which it is kept: months of it are dropped,
    as partitions when it is `partitioned`. `counted` is the column with the time at which a message of the kind
    left its trace there, for the ledger; one table of a kind has it. `key` is the field of the row that a table of
    rows which stand by themselves has a unique index on: such rows are written without a word in `store/tables`.
    """

    name: str
    rights: str = "SELECT, INSERT"
    month: str | None = None
    partitioned: bool = False
    counted: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One sort of message.

    `row` is the list of its columns and `make` makes one of a message without faults. `schemas` is profile ->
    file in the kind's folder. `opaque` members go to the row as the sender's text, unread: their schemas may
    speak of `type` only. `elements` is member -> opaque members of each object in that array. `faults` gets the
    envelope and the values, of which any may be absent or ill-typed, and says field -> Fault. None of them raises.
    """

    name: str
    row: RowType
    make: Callable[[Message, Document], Row]
    faults: Callable[[Message, Mapping[str, Any]], dict[str, Fault]]
    schemas: Mapping[str, str]
    routing_key: str
    """On the exchange `ingest`; its first word is bound to `queue`."""
    queue: str
    rank: int
    """Within a batch, kinds of a lower rank are written first."""
    path: str
    """Where it is read, `{field}` of the row filled in."""
    tables: tuple[Table, ...]
    """None: such messages are never stored, each has a fault."""
    profile_faults: Mapping[str, Callable[[Message, Mapping[str, Any]], dict[str, Fault]]] = field(default_factory=dict)
    """Schema profile -> `faults` of its own."""
    tells: Mapping[str, str] = field(default_factory=dict)
    """Of TELLS -> the member that tells it. A letter keeps it, to be found by; nothing is decided by it."""
    opaque: frozenset[str] = frozenset()
    elements: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fastpath: tuple[Sequence[str], Callable[[Sequence[Any]], Row | None]] | None = None
    """Members, and the row of their values in that order when the schema takes them; None: the long way."""
    sign: Mapping[str, str | None] = field(default_factory=dict)
    """Members by whose values a body is known to be of this kind, None: any; without one, it is what else there is."""
    waits: bool = False
    """What comes before what it needs may wait for it, so that whoever publishes it says how long an answer counts."""
    answered_with_uri: bool = True


def location(kind: Kind) -> Callable[[Row], str]:
    """Row -> the path at which it is read, percent-encoded."""
    template = _PLACEHOLDER.sub("%s", kind.path.replace("%", "%%"))
    fields = _PLACEHOLDER.findall(kind.path)
    values = attrgetter(*fields)
    if all(each.type == "uuid" for each in columns(kind.row) if each.field in fields):
        return lambda row: template % values(row)
    return lambda row: template % tuple(map(_part, values(row)))


def _part(name: str) -> str:
    """A name as one part of a path. Where it is dots alone they are encoded, or clients would take them as a step."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted
