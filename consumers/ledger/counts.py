"""Counts, for the ledger, what only a worker can: messages straight from Chef servers, and repeated deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from consumers.delivery import Judged
from schemas.verdict import Created, Pong, Verdict, WaitsForRun


def takings(items: Sequence[Judged], verdicts: Sequence[Verdict]) -> Counter[tuple[str, str]]:
    """(door, outcome) -> how many.

    `taken`: a Chef server published it, and no shim counts that. `redelivered`: it has been delivered before and
    has left no row now, so that it may have been counted before.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for item, verdict in zip(items, verdicts, strict=True):
        delivery = item.delivery
        door = delivery.message.door
        if door != "chef" and not delivery.deliveries:
            continue
        # One that only goes to wait for its run's start is not settled.
        if isinstance(verdict, (Pong, WaitsForRun)) or delivery.letter_id is not None:
            continue
        if door == "chef":
            counted[door, "taken"] += 1
        if delivery.deliveries and not (isinstance(verdict, Created) and not verdict.duplicate):
            counted[door, "redelivered"] += 1
    return counted
