"""Letters: page by page, by cause, and what is beside one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from consumers.dead_letters.queries import in_one_line, worded
from consumers.dead_letters.selector import NEWEST, PAGED, SORTS, Selector
from ingest.lookup.database import Reader, Row

MOST_CAUSES: Final = 50
MOST_SHARES: Final = 3
MOST_CHOICES: Final = 50


def listed(reader: Reader, selector: Selector, sort: str = NEWEST, most: int = 50) -> tuple[Sequence[Row], int | None]:
    """Letters in one line each by one of SORTS, and the number after which there are more: in an order of PAGED, whose
    `after` goes on there; in another one the first so many are all."""
    where, values = selector.where(backwards=sort == NEWEST)
    rows = reader.rows("letters.sql", "listed", where=where, order=SORTS[sort], **values, rows=most + 1)
    shown = [{**row, "why": in_one_line(row["details"])} for row in rows[:most]]
    return shown, shown[-1]["id"] if len(rows) > most and sort in PAGED else None


def causes(reader: Reader, selector: Selector, most: int = MOST_CAUSES) -> list[Row]:
    """Causes, the most frequent first: how many letters, organizations, nodes, senders, since when, a note; `why`
    without values, and with them the `example` of one. `by` is what most of its letters have: member -> values and how
    many letters have each."""
    rows = _selected(reader, "causes", selector, rows=most)
    shares = _shares(reader, selector, [row["fingerprint"] for row in rows])
    return [{**worded(row), "by": shares[row["fingerprint"]]} for row in rows]


def neighbours(reader: Reader, letter_id: int, fingerprint: str) -> Row:
    """`older` and `newer` of the same cause; None at the ends."""
    [row] = reader.rows("letters.sql", "neighbours", id=letter_id, fingerprint=fingerprint)
    return row


def choices(reader: Reader) -> Mapping[str, Sequence[str]]:
    """Member of a selector -> values that letters have, the most frequent first."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in reader.rows("letters.sql", "choices", most=MOST_CHOICES):
        found[row["member"]].append(row["value"])
    return found


def _shares(reader: Reader, selector: Selector, fingerprints: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in _selected(reader, "shares", selector, among=list(fingerprints), most=MOST_SHARES):
        found[row["fingerprint"]][row["member"]].append((row["value"], row["letters"]))
    return found


def _selected(reader: Reader, name: str, selector: Selector, **keys: Any) -> list[Row]:
    where, values = selector.where()
    return reader.rows("letters.sql", name, where=where, **keys, **values)
