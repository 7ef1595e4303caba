"""What `status` says stands in the way."""

from __future__ import annotations

from ingest.diagnostics.broker import PARKED_REMEDY
from ingest.diagnostics.now.blocked import blocked
from schemas.topology import TOPOLOGY


def test_status_tells_of_what_is_parked() -> None:
    """Nobody consumes that queue: whoever looks must see it, and what to do."""
    found = {
        "supervisor": {},
        "machines": [],
        "pauses": [],
        "shim": {},
        "spool": {},
        "queues": {each.name: {"ready": 0, "consumers": 1} for each in TOPOLOGY.queues},
    }
    assert list(blocked(found)) == []
    found["queues"]["ingest.parked"] = {"ready": 2, "consumers": 0}
    assert [each.text for each in blocked(found)] == [f"2 messages in ingest.parked: {PARKED_REMEDY}"]
