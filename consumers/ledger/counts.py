"""Counts, for the ledger, what only a worker can: messages that leave no row, messages straight from Chef servers, and
repeated deliveries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from consumers.delivery import Judged
from schemas.doors import FOREIGN
from schemas.labels import Acknowledgement
from schemas.verdict import Verdict


def tallies(verdicts: Iterable[Verdict]) -> Counter[tuple[str, str]]:
    """(outcome, rule) -> how many, of the verdicts that leave neither a row of their own nor a letter."""
    return Counter((verdict.fate.outcome, getattr(verdict, "rule", "")) for verdict in verdicts if verdict.fate.tallied)


def acknowledgements(items: Sequence[Judged], verdicts: Sequence[Verdict]) -> Counter[tuple[str, Acknowledgement]]:
    """(door, outcome) -> how many.

    `taken`: a Chef server published it, and no shim counts that. `redelivered`: it has been delivered, or
    delayed, before and has left no row now, so that it may have been counted before.
    """
    counted: Counter[tuple[str, Acknowledgement]] = Counter()
    for item, verdict in zip(items, verdicts, strict=True):
        delivery = item.delivery
        door = delivery.message.door
        if door not in FOREIGN and not (delivery.deliveries or delivery.retries):
            continue
        fate = verdict.fate
        # One that only goes to wait for its run's start will be counted when it comes back.
        if not (fate.counted and fate.ends) or delivery.letter_id is not None:
            continue
        if door in FOREIGN:
            counted[door, "taken"] += 1
        if (delivery.deliveries or delivery.retries) and not fate.row:
            counted[door, "redelivered"] += 1
    return counted
