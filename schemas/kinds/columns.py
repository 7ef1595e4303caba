"""What a column is: the types with which a kind's row says its columns, once, and what is read from such a row."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin, get_type_hints

Row: TypeAlias = Any
"""A named tuple whose fields are annotated with the types of this module; compared and rendered by them."""
RowType: TypeAlias = Any
"""The class of such rows."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row.

    `type` is PostgreSQL's, `name` the table's name for it, `member` the member of the message that it holds
    (None: it holds none, but a fact of the envelope or a position). `rows` is the type of the rows that stand
    in another table, when the field is a tuple of them.
    """

    field: str = ""
    type: str = "text"
    name: str = ""
    member: str | None = ""
    nullable: bool = False
    extra: bool = False
    """It keeps, as a JSON object, the members that no other column holds as sent."""
    state: bool = False
    """It says how a thing is or was, which is not stored of what is called sensitive."""
    kept: bool = False
    """The first one stays, and another one sent later is no conflict."""
    merged: bool = False
    """The kind's table merges rows of one key that differ in it, so that another one is no conflict."""
    owner: bool = False
    """Whose the row is: to anybody else nothing is told of it but that it is there."""
    rows: RowType | None = None
    table: str | None = None
    """Another of the kind's tables than the first, which has the latest one only; found there by the row's key."""
    within: str | None = None
    """The table holds it as this member of a JSON object."""
    deep: bool = False
    """JSON that holds secrets at any depth."""

    @property
    def json(self) -> bool:
        """Whether it holds JSON text."""
        return self.type == "json"


class _Also:
    """A marker that changes the column it stands at."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes


Text = Annotated[str, Column(type="text")]
Uuid = Annotated[str, Column(type="uuid")]
"""In lower case, with hyphens."""
Time = Annotated[str, Column(type="timestamptz")]
"""`YYYY-MM-DDTHH:MM:SSZ`, UTC."""
Integer = Annotated[int, Column(type="integer")]
BigInteger = Annotated[int, Column(type="bigint")]
Boolean = Annotated[bool, Column(type="boolean")]
Json = Annotated[str, Column(type="json")]
"""The sender's own JSON text."""
Extra = Annotated[Json, _Also(extra=True, member=None)]
"""The members that the columns don't hold as sent, see `schemas.kinds.extra`."""

STATE: Final = _Also(state=True)
KEPT: Final = _Also(kept=True)
MERGED: Final = _Also(merged=True)
OWNER: Final = _Also(owner=True)
DEEP: Final = _Also(deep=True)
ENVELOPE: Final = _Also(member=None)
"""No member of the message: a fact of its envelope, or one that we add."""


def stored_as(name: str) -> _Also:
    """The table has another name for it."""
    return _Also(name=name)


def holds(member: str) -> _Also:
    """The message has another name for it."""
    return _Also(member=member)


def in_table(name: str) -> _Also:
    """It stands in another table, which has the latest one only."""
    return _Also(table=name)


def within(member: str) -> _Also:
    """The table holds it as this member of a JSON object."""
    return _Also(within=member)


@cache
def columns(row: RowType) -> tuple[Column, ...]:
    """The columns that a row type says, in its order. Raises TypeError for a field whose type says none."""
    hints = get_type_hints(row, include_extras=True)
    return tuple(_column(row, field, hints[field]) for field in row._fields)


@cache
def members(row: RowType) -> frozenset[str]:
    """The members of a message that have a column in this row."""
    return frozenset(each.member for each in columns(row) if each.member is not None)


def _column(row: RowType, field: str, hint: Any) -> Column:
    nullable = get_origin(hint) in (Union, types.UnionType)
    if nullable:
        [hint] = [each for each in get_args(hint) if each is not types.NoneType]
    markers = getattr(hint, "__metadata__", ())
    inner = get_args(hint)[0] if markers else hint
    if get_origin(inner) is tuple:
        markers = (Column(type="", rows=get_args(inner)[0]), *markers)
    if not markers or not isinstance(markers[0], Column):
        raise TypeError(f"{row.__name__}.{field} is not annotated with a type of {__name__}")
    changes = {name: value for each in markers[1:] for name, value in each.changes.items()}
    return replace(markers[0], **{"field": field, "name": field, "member": field, "nullable": nullable} | changes)
