"""The picture of the way of messages says how fast it goes, and nothing that nobody knows."""

from __future__ import annotations

from typing import Any

from ingest.console.views.flow import flow, paces, texts


def seen(**facts: Any) -> dict[str, Any]:
    worker = {"state": "consuming", "pid": 1}
    return {
        "faults": {}, "queues": {"ingest.runs": {"ready": 30, "consumers": 1}}, "letters": {"open": 2}, "rate": 12.5,
        "machines": [{"stale": False, "workers": [worker, worker]}], "doors": {"http": 7.5}, "written": {"runs": 100},
        "paces": {},
    } | facts  # fmt: skip


def test_what_happened_between_two_looks_is_told_by_the_second() -> None:
    """Rows of tables, and by how much queues grew or shrank; of counts that began anew nothing is known."""
    later = seen(queues={"ingest.runs": {"ready": 20, "consumers": 1}}, written={"runs": 150, "actions": 3})
    assert paces(seen(), later, 2.0) == {"table runs": 25.0, "queue ingest.runs": -5.0}
    assert paces(later, seen(), 2.0) == {"queue ingest.runs": 5.0}
    assert paces(seen(), later, 0.0) == {}
    said = texts(flow(later | {"paces": paces(seen(), later, 2.0)}))
    assert said["box 0 messages"] == "7.5/s by http"
    assert said["box 1 ingest.runs"] == "20 ready, -5/s"
    assert (said["box 2 all workers"], said["box 2 consuming"]) == ("12.5/s", "2")
    assert (said["box 3 runs"], said["box 3 actions"]) == ("25 rows/s", "")


def test_who_sees_no_picture_hears_the_same() -> None:
    """Without a database doors say nothing, and without a supervisor workers don't."""
    picture = flow(seen(faults={"database": "away"}, machines=[], doors={}))
    assert "Workers: none seen" in picture.words
    assert "messages 0" not in picture.words
    assert "ingest.runs 30 ready" in flow(seen()).words
