"""Counts the drift of a batch, by kind, door, member and what is otherwise, and lists what has been counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from consumers.database import statements
from consumers.database.connection import Purpose, session
from consumers.delivery import Judged
from schemas.doors import COLLECTOR
from schemas.validation.drift import Drift, of_letter
from schemas.validation.judge import Candidate
from schemas.verdict import DUPLICATE, Verdict, becomes_letter, is_told

_PURPOSE: Final = Purpose("chef-ingest drift", statement=10, silence=12)


class Drifted(NamedTuple):
    """So many `messages` of a batch; `example` is of the last one."""

    kind: str
    door: str
    member: str
    difference: str
    messages: int
    example: str


def drifts(items: Sequence[Judged], verdicts: Iterable[Verdict]) -> list[Drifted]:
    """In one order for everybody. Messages that are taken, but not those that were before; and, of the data
    collector's door, those that became letters by what is in them."""
    counted: dict[tuple[str, str, str, str], Drifted] = {}
    for item, verdict in zip(items, verdicts, strict=True):
        for each in _of(item, verdict):
            message = item.delivery.message
            key = (message.kind, message.door, each.member, each.difference)
            before = counted.get(key)
            counted[key] = Drifted(*key, 1 if before is None else before.messages + 1, each.example)
    return sorted(counted.values())


def listed(database_url: str) -> list[dict[str, Any]]:
    """A dict for each sort of drift, the most frequent first. Raises StoreUnavailable or Misconfigured."""
    listing = statements.load("consumers.ledger", "ledger.sql")["drift"]
    with session(database_url, _PURPOSE) as connection:
        found = connection.execute(listing.encode())
        names = [column.name for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found]


def _of(item: Judged, verdict: Verdict) -> Sequence[Drift]:
    judgement = item.judgement
    if type(judgement) is Candidate:
        return judgement.drift if verdict.fate.resolves and verdict.fate is not DUPLICATE else ()
    if becomes_letter(verdict) or is_told(verdict):
        message = item.delivery.message
        if message.door != COLLECTOR.word:
            return ()
        return of_letter(message.kind, verdict) if message.kind in COLLECTOR.kinds else ()
    return ()
