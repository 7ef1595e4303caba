"""Counts the drift of a batch, by kind, door, member and what is otherwise, and lists what has been counted."""

from __future__ import annotations

import json
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
    """So many `messages` of a batch; `example` is of one of them."""

    kind: str
    door: str
    member: str
    difference: str
    messages: int
    example: str


def drifts(items: Sequence[Judged], verdicts: Iterable[Verdict]) -> list[Drifted]:
    """Of messages that are taken, but not those that were before; and, of the data collector's door, of those that
    became letters by what is in them."""
    counted: dict[tuple[str, str, str, str], Drifted] = {}
    for item, verdict in zip(items, verdicts, strict=True):
        judgement = item.judgement
        if type(judgement) is Candidate and not judgement.drift:
            continue  # As nearly all: what is documented costs no more than this.
        message = item.delivery.message
        for member, difference, example in _of(item, verdict):
            sort = message.kind, message.door, member, difference
            before = counted.get(sort)
            if before is None:
                counted[sort] = Drifted(*sort, 1, example)
            else:
                counted[sort] = before._replace(messages=before.messages + 1)
    return list(counted.values())


def parameters(drifted: Iterable[Drifted]) -> dict[str, str]:
    """What the statement `count_drift` asks for."""
    return {"drift": json.dumps([each._asdict() for each in drifted])}


def listed(database_url: str) -> list[dict[str, Any]]:
    """A dict for each sort of drift, the most frequent first. Raises StoreUnavailable or Misconfigured."""
    listing = statements.load("consumers.ledger", "ledger.sql")["drift"]
    with session(database_url, _PURPOSE) as connection:
        found = connection.execute(listing.encode())
        names = [column.name for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found]


def _of(item: Judged, verdict: Verdict) -> Sequence[Drift]:
    judgement, message = item.judgement, item.delivery.message
    if isinstance(judgement, Candidate):
        # What a candidate is refused for, such as another one's id, is not how it is written.
        return judgement.drift if verdict.fate.resolves and verdict.fate is not DUPLICATE else ()
    if message.door != COLLECTOR.word or message.kind not in COLLECTOR.kinds:
        return ()
    return of_letter(message.kind, verdict) if becomes_letter(verdict) or is_told(verdict) else ()
