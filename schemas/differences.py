"""What differs between two rows of one key: the stored one stays, and a sender of another is told why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from schemas.extra import unpack
from schemas.kinds import action, run_end
from schemas.rows import ActionRow, ResourceRow, Row, RunEndRow, RunStartRow
from schemas.wording import MOST, shorten

_JSON_COLUMNS: Final = frozenset({"data", "before", "after"})
_ABSENT: Final = "nothing"
_LONGEST: Final = 100


def differences(stored: Row, sent: Row) -> dict[str, str]:
    """Field -> text of what differs, empty when the content is the same.

    A member's spelling (an id in capitals, a time in another zone, JSON with other spaces or member order)
    is no difference. A repeated run start differs only when it is another organization's or node's.
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
    if isinstance(stored, RunStartRow) and isinstance(sent, RunStartRow):
        # The first start's time stays: chef-client repeats a start whose answer it did not get.
        yield from _columns(stored._replace(start_time="", extra=None), sent._replace(start_time="", extra=None))
        return
    yield from _columns(stored, sent)
    if isinstance(stored, ActionRow) and isinstance(sent, ActionRow):
        yield from _extras(stored.extra, sent.extra, action.NAMED)
    if isinstance(stored, RunEndRow) and isinstance(sent, RunEndRow):
        yield from _extras(stored.extra, sent.extra, run_end.NAMED)
        yield from _resources(stored.resources, sent.resources)


def _resources(stored: tuple[ResourceRow, ...], sent: tuple[ResourceRow, ...]) -> Iterator[tuple[str, str]]:
    if len(stored) != len(sent):
        yield "resources", f"stored {len(stored)} of them, sent {len(sent)}"
    for position, (ours, theirs) in enumerate(zip(stored, sent, strict=False)):
        if ours == theirs:
            continue
        for field, text in _columns(ours, theirs):
            yield f"resources.{position}.{field}", text
        for field, text in _extras(ours.extra, theirs.extra, run_end.RESOURCE_NAMED):
            yield f"resources.{position}.{field}", text


def _columns(stored: Row | ResourceRow, sent: Row | ResourceRow) -> Iterator[tuple[str, str]]:
    for field, ours, theirs in zip(stored._fields, stored, sent, strict=True):
        if field in ("extra", "resources") or ours == theirs:
            continue
        if field in _JSON_COLUMNS and same_json(ours, theirs):
            continue
        yield field, _text(ours, theirs)


def _extras(stored: str | None, sent: str | None, named: frozenset[str]) -> Iterator[tuple[str, str]]:
    if stored == sent:
        return
    ours, theirs = unpack(stored), unpack(sent)
    # A named member is there for its spelling; its column has been compared.
    for member in (ours | theirs).keys() - named:
        if not same_json(ours.get(member), theirs.get(member)):
            yield shorten(member, _LONGEST), _text(ours.get(member), theirs.get(member))


def same_json(one: object, other: object) -> bool:
    """Whether two JSON texts say the same, but for spaces, escapes and member order; None is absence."""
    if one == other:
        return True
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    try:
        return bool(_read(one) == _read(other))
    except (ValueError, RecursionError):
        return False


def _read(text: str) -> Any:
    # Numbers stay text (1 is not True, and no number is too large); twice the same member stays twice.
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: ("object", sorted(pairs, key=lambda pair: pair[0])),
        parse_int=_number,
        parse_float=_number,
        parse_constant=_number,
    )


def _number(text: str) -> tuple[str]:
    return (text,)


def _text(stored: object, sent: object) -> str:
    return f"stored {_shown(stored)}, sent {_shown(sent)}"


def _shown(value: object) -> str:
    if value is None:
        return _ABSENT
    return shorten(repr(value), _LONGEST)
