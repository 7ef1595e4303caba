"""The shim's half of the ledger: each message counts once, whatever way it takes."""

from __future__ import annotations

from collections import Counter

from ingest.shim.acknowledged import Acknowledged


def test_what_is_spooled_is_acknowledged_then_and_not_again_when_it_is_drained() -> None:
    """Its sender was told at the spool; that the broker has it later tells nobody anything. What is refused counts as
    nothing, what the broker may have as that."""
    acknowledged = Acknowledged(lambda: "")
    for result in ("spooled", "drained", "confirmed", "spool_full", "spool_failed", "refused", "unconfirmed"):
        acknowledged.count("collector", result)
    counted: Counter[str] = Counter()
    for (_, door, outcome), count in acknowledged._counted.items():
        assert door == "collector"
        counted[outcome] += count
    assert counted == {"confirmed": 2, "unconfirmed": 1}
