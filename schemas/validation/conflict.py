"""What differs between two rows of one key: the stored one stays, and a sender of another is told why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.kinds.columns import Column, Row, RowType, columns, members
from schemas.kinds.extra import unpack
from schemas.validation.cuts import MARK
from schemas.wording import MOST, shorten

_ABSENT: Final = "nothing"
_STORED: Final = "stored "
_SENT: Final = ", sent "
_LONGEST: Final = 100


def differences(stored: Row, sent: Row) -> dict[str, str]:
    """Field -> text of what differs, empty when the content is the same.

    A member's spelling (an id in capitals, a time in another zone, JSON with other spaces or member order)
    is no difference, nor is anything where one of the two was redacted: settings change between a message
    and its repetition, nor another value in a column that keeps the first one. Of a row that has another owner
    nothing is told but that it is there.
    """
    if type(stored) is not type(sent):
        return {"kind": "another kind of message has this id"}
    found: dict[str, str] = {}
    for field, text in _differences(stored, sent):
        if len(found) == MOST:
            found["message"] = f"more than {MOST} differences; the first are listed"
            break
        found[field] = text
    return found


def _differences(stored: Row, sent: Row) -> Iterator[tuple[str, str]]:
    kind: RowType = type(stored)
    described = columns(kind)
    for at, column in enumerate(described):
        if column.owner and stored[at] != sent[at]:
            yield column.field, "stored another one than sent"
            return
    for at, column in enumerate(described):
        ours, theirs = stored[at], sent[at]
        if ours == theirs or column.kept:
            continue
        if column.rows is not None:
            yield from _rows(column.field, ours, theirs)
        elif column.extra:
            yield from _extras(ours, theirs, members(kind))
        elif not _same(column, ours, theirs):
            yield column.field, _text(ours, theirs)


def _rows(field: str, stored: Sequence[Row], sent: Sequence[Row]) -> Iterator[tuple[str, str]]:
    if len(stored) != len(sent):
        yield field, f"stored {len(stored)} of them, sent {len(sent)}"
    for position, (ours, theirs) in enumerate(zip(stored, sent, strict=False)):
        if ours != theirs:
            for name, text in _differences(ours, theirs):
                yield f"{field}.{position}.{name}", text


def _same(column: Column, ours: Any, theirs: Any) -> bool:
    if column.json:
        return same_json(ours, theirs)
    return column.state and MARK in (ours, theirs)


def _extras(stored: str | None, sent: str | None, named: frozenset[str]) -> Iterator[tuple[str, str]]:
    ours, theirs = unpack(stored), unpack(sent)
    # A named member is there for its spelling; its column has been compared.
    gone = {MARK, *_dropped(ours), *_dropped(theirs)}
    for member in (ours | theirs).keys() - named - gone:
        if not same_json(ours.get(member), theirs.get(member)):
            yield shorten(member, _LONGEST), _text(ours.get(member), theirs.get(member))


def _dropped(extra: Mapping[str, str]) -> list[str]:
    return _Object([(MARK, _read(extra[MARK]))]).dropped if MARK in extra else []


def same_json(one: object, other: object) -> bool:
    """Whether two JSON texts say the same, but for spaces, escapes and member order; None is absence."""
    if one == other:
        return True
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    try:
        if MARK in one or MARK in other:
            return _alike(_read(one), _read(other))
        return bool(_read(one) == _read(other))
    except (ValueError, RecursionError):
        return False


def _alike(one: Any, other: Any) -> bool:
    """Whether two values say the same where both say something."""
    if MARK in (one, other) or one == other:
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if not (isinstance(one, _Object) and isinstance(other, _Object)):
        return False
    gone = {MARK, *one.dropped, *other.dropped}
    ours, theirs = ([pair for pair in each if pair[0] not in gone] for each in (one, other))
    return len(ours) == len(theirs) and all(
        name == their_name and _alike(value, their_value)
        for (name, value), (their_name, their_value) in zip(ours, theirs, strict=True)
    )


class _Object(tuple[tuple[str, Any], ...]):
    """The members of a JSON object, sorted by name."""

    @property
    def dropped(self) -> list[str]:
        """The names of members that redaction took away."""
        lists = [names for member, names in self if member == MARK and isinstance(names, list)]
        return [name for names in lists for name in names if isinstance(name, str)]


def _read(text: str) -> Any:
    # Numbers stay text (1 is not True, and no number is too large); twice the same member stays twice.
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: _Object(sorted(pairs, key=lambda pair: pair[0])),
        parse_int=_number,
        parse_float=_number,
        parse_constant=_number,
    )


def _number(text: str) -> tuple[str]:
    return (text,)


def sides(text: str) -> tuple[str, str] | None:
    """What is stored and what was sent, of the text of one difference; None where it is not that plain."""
    stored, _, sent = text.removeprefix(_STORED).partition(_SENT)
    return (stored, sent) if text.startswith(_STORED) and sent and _SENT not in sent else None


def _text(stored: object, sent: object) -> str:
    return f"{_STORED}{_shown(stored)}{_SENT}{_shown(sent)}"


def _shown(value: object) -> str:
    if value is None:
        return _ABSENT
    return shorten(repr(value), _LONGEST)
