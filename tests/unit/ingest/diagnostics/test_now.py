"""What `status` and the console's first page say is wrong, and how the last hour went."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumers.machines.samples import MINUTES, Sampler, coarse
from ingest.console.views.chart import SPARK_WIDTH, spark
from ingest.diagnostics.now import troubles as module
from ingest.diagnostics.now.trend import trend
from ingest.diagnostics.now.troubles import UNSEEN, troubles
from schemas.settings import Settings
from schemas.topology import TOPOLOGY

ROOT = Path(__file__).parents[4]
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
MACHINE = {
    "host": "web1", "folder": "/run", "here": True, "stale": False, "silent_seconds": 0.0, "in_hand": 0, "workers": [],
    "nodes": {"success": 95, "aborted": 5}, "nodes_missing": 5, "letters_of_hour": 10, "not_reloaded": [],
}  # fmt: skip
WORKER = {"pid": 7, "lane": "main", "state": "consuming", "why": "no disk", "in_hand": 1, "silent_seconds": 9.0}
QUEUES = {each.name: {"ready": 0, "consumers": 1} for each in TOPOLOGY.queues}


def seen(**facts: Any) -> dict[str, Any]:
    """A system that is well, but for `facts`."""
    return {
        "faults": {}, "machines": [MACHINE], "prefetch": 100, "supervisor": {}, "shim": {}, "spool": {}, "pauses": [],
        "queues": QUEUES, "letters": {"open": 10, "parked": 0}, "backlog": 0, "trend": trend([(5, {"letters": 9})]),
    } | facts  # fmt: skip


def hour(*rows: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"trend": trend(rows)}


def lacking(queue: str, ready: int) -> dict[str, Any]:
    return {"queues": QUEUES | {queue: {"ready": ready, "consumers": 0}}}


def on(**facts: Any) -> dict[str, Any]:
    return {"machines": [MACHINE | facts]}


WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ChefIngestNoCommits", {"backlog": 5} | hour(*((ago, {"backlog": 5, "outcomes": {}}) for ago in range(4)))),
    ("ChefIngestNoConsumers", lacking("ingest.runs", 0)),
    ("ChefIngestNoConsumers", lacking("ingest.runs", 3)),
    ("ChefIngestSupervisorGone", on(stale=True)),
    ("ChefIngestSupervisorGone", {"faults": {"supervisor": "nobody there"}}),
    ("ChefIngestPaused", {"faults": {"database": "no answer"}}),
    ("ChefIngestRefusing", {"faults": {"broker": "no answer"}}),
    ("ChefIngestBrokerAlarm", {"shim": {"why": "blocked"}}),
    ("ChefIngestRefusing", hour((1, {"requests": 100, "refused": 6}))),
    ("ChefIngestPaused", on(workers=[WORKER | {"state": "paused"}])),
    ("ChefIngestBehind", hour((2, {"outcomes": {"stored": 99}, "ages": {"0": 98, "301": 2}}))),
    ("ChefIngestLettersGrowing", {"letters": {"open": 60}}),
    ("ChefIngestLettersNearBound", {"letters": {"open": 10, "discarded": 90_000}}),
    ("ChefIngestLettersNearBound", on(letters_of_hour=900)),
    ("ChefIngestNodesMissing", on(nodes_missing=6)),
    ("ChefIngestRunsAborted", on(nodes={"success": 94, "aborted": 6})),
    ("ChefIngestManyDuplicates", hour((20, {"outcomes": {"stored": 70, "duplicate": 30}}))),
    ("ChefIngestSpoolWaiting", {"spool": {"folder": "/s", "messages": 2, "oldest": "2026-11-22T12:20:00Z"}}),
    ("ChefIngestSpoolWaiting", {"spool": {"folder": "/s", "oldest": None, "used": 90, "limit": 100}}),
    ("ChefIngestSpoolSetAside", {"spool": {"folder": "/s", "oldest": None, "aside": 1}}),
    ("ChefIngestKeyless", hour((50, {"keyless": 1}))),
    ("ChefIngestNotReloaded", {"supervisor": {"not_reloaded": ["x"]}}),
    ("ChefIngestNotReloaded", on(here=False, not_reloaded=["x"])),
    ("ChefIngestWorkersDying", hour((14, {"outcomes": {}, "deaths": 3}), (1, {"outcomes": {}, "deaths": 1}))),
    ("ChefIngestWorkerFaults", hour((40, {"outcomes": {}, "faults": 1}))),
)


@pytest.mark.parametrize(("runbook", "facts"), WRONG)
def test_what_an_alert_would_say_is_said(runbook: str, facts: dict[str, Any]) -> None:
    """Once, with a remedy, and with the page that the alert leads to."""
    [wrong] = troubles(seen(**facts), Settings(), NOW)
    assert wrong.runbook == runbook
    assert ":" in wrong.text or "?" in wrong.text
    assert (ROOT / "docs" / "runbooks" / f"{runbook}.md").is_file()


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"trend": trend(())},
        hour((1, {"requests": 100, "refused": 5})),
        lacking("ingest.runs", 0) | {"pauses": [{"queue": "all", "host": "all"}]},
        {"backlog": 5} | hour(*((ago, {"backlog": 5, "outcomes": {"stored": ago}}) for ago in range(4))),
        on(nodes=None, nodes_missing=None, letters_of_hour=None),
    ],
)
def test_what_is_well_is_not_wrong(facts: dict[str, Any]) -> None:
    """At the bounds, where nothing is known, and where a queue is held back on purpose."""
    assert troubles(seen(**facts), Settings(), NOW) == []


def test_every_alert_is_said_or_named_as_one_that_only_metrics_tell() -> None:
    """Who adds an alert decides whether the first page says it."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert {each["alert"] for each in rules} == {runbook for runbook, _ in WRONG} | UNSEEN
    assert module.UNSEEN.isdisjoint(runbook for runbook, _ in WRONG)


def test_the_last_hour_is_added_up_by_the_minute() -> None:
    """Of all processes: what they did is summed, what all see counts once, what nobody told is not 0."""
    one = {"backlog": 7, "letters": 3, "outcomes": {"stored": 8, "duplicate": 2}, "ages": {"0": 8, "40": 2}}
    two = {"backlog": 9, "letters": None, "outcomes": {"stored": 1}, "ages": {"1": 1}, "deaths": 1}
    shim = {"requests": 12, "refused": 1, "keyless": 0}
    found = trend([(59, {"backlog": 1, "outcomes": {}}), (3, one), (3, two), (3, shim), (60, one), (-1, one)])
    assert all(len(series) == MINUTES for name, series in found.items() if name != "age")
    then = {name: series[-4] for name, series in found.items() if name != "age"}
    assert then == {
        "backlog": 9, "letters": 3, "messages": 11, "duplicates": 2, "deaths": 1, "faults": 0, "requests": 12,
        "refused": 1, "keyless": 0, "age_p50": 0, "age_p99": 40,
    }  # fmt: skip
    assert found["age"] == {"p50": 0, "p99": 40, "messages": 11}
    assert (found["backlog"][0], found["messages"][0], found["requests"][0], found["backlog"][1]) == (1, 0, None, None)
    assert trend(())["age"] is None


def test_a_supervisor_samples_minutes_as_it_is_told_the_time() -> None:
    """This minute as far as it has come, and the one before as it ended; an age of days is told by two digits."""
    sampler = Sampler()
    sampler.count({"stored": 2}, {3: 1, 123_456: 1}, 0, 60.0)
    sampler.died(119.9)
    [only] = sampler.latest({"backlog": 4}, 119.9)
    assert only == (60, {"backlog": 4, "deaths": 1, "outcomes": {"stored": 2}, "ages": {3: 1, 120_000: 1}})
    sampler.count({"duplicate": 1}, {}, 2, 121.0)
    before, now = sampler.latest({"backlog": None}, 122.0)
    assert before == only
    assert now == (120, {"backlog": None, "faults": 2, "outcomes": {"duplicate": 1}, "ages": {}})
    assert [coarse(age) for age in (0, 99, 101, 999, 1050)] == [0, 99, 100, 990, 1000]


def test_a_line_has_gaps_where_nothing_was_told_and_words_for_who_sees_none() -> None:
    """A value by itself can be seen too."""
    drawn = spark("Backlog", [None, 0, 10, None, 5], " s")
    assert drawn.words == "Backlog in the last 5 minutes: 0 to 10 s, 5 s at last"
    assert drawn.lines == ("30.0,22.0 31.0,22.0 60.0,2.0", f"{SPARK_WIDTH}.0,12.0 {SPARK_WIDTH + 1}.0,12.0")
    assert spark("Backlog", [None] * 3).lines == ()
    assert "nothing was told" in spark("Backlog", [None] * 3).words
