"""What a worker tells its supervisor: no count is lost or told twice, and telling never blocks."""

from __future__ import annotations

import os
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery import Batch, Committed, Judged
from consumers.errors import StoreUnavailable
from consumers.supervisor.metrics import Metrics
from consumers.telemetry.reporter import Reporter
from consumers.telemetry.reports import DriftSeen, Report, ReportLine, Reports
from schemas.message import Message
from schemas.validation.drift import Drift
from schemas.validation.judge import Candidate
from schemas.verdict import Conflict, Created, DuringRun, Invalid, Pong, UnknownRun, WaitsForRun


def item(timestamp: int | None = None) -> Judged:
    properties = SimpleNamespace(timestamp=timestamp)
    delivery = SimpleNamespace(properties=properties, message=Message("action", b"", "http"))
    return Judged(delivery, Pong())  # type: ignore[arg-type]


def test_each_verdict_is_one_outcome() -> None:
    """Stored, duplicate, during_run, conflict, dead or delayed; a ping is none of them; errors go by class."""
    told: list[Report] = []
    reporter = Reporter("main", lambda report: told.append(report) is None, monotonic=lambda: 0.0, now=lambda: 100.0)
    items = (item(90), item(90), item(70), item(), item(), item(), item(), item())
    verdicts = (
        Created("/a"), Created("/a", True), DuringRun("run_id"), Conflict({}),
        Invalid("database", "refused", {}, "22P05"),
        WaitsForRun("r", "t"), UnknownRun("r", "t"), Pong(),
    )  # fmt: skip
    reporter.observe(Committed(Batch(items, 10, "idle"), verdicts, 0.5))
    (report,) = told
    assert report.outcomes == {"stored": 1, "duplicate": 1, "during_run": 1, "conflict": 1, "dead": 2, "delayed": 1}
    assert report.messages == 6
    assert report.ages == {10: 2, 30: 1}
    assert report.errors == {"22": 1}
    assert report.committed_at == 100.0


def test_a_run_told_of_under_two_names_is_counted_once_and_scraped() -> None:
    """By the message that makes it so, in the report and in the metrics; not by those that come after."""
    told: list[Report] = []
    reporter = Reporter("main", lambda report: told.append(report) is None)
    verdicts = (Created("/a"), Created("/b", merged=True, door_mismatch=True), Created("/b", duplicate=True))
    reporter.observe(Committed(Batch((item(),) * 3, 10, "idle"), verdicts, 0.5))
    reporter.observe(Committed(Batch((item(),), 10, "idle"), (Created("/a", merged=True),), 0.5))
    metrics = Metrics("1")
    for report in told:
        metrics.record(report)
    assert [report.door_mismatches for report in told] == [1, 0]
    assert metrics.registry.get_sample_value("chef_ingest_door_mismatches_total") == 1


def test_drift_is_told_by_kind_member_and_difference() -> None:
    """Of what is stored, not of what was stored before."""
    told: list[Report] = []
    reporter = Reporter("main", lambda report: told.append(report) is None)
    found = Candidate("action", (), (Drift("entity_type", "enum", "policy"),))
    delivery = SimpleNamespace(properties=None, message=Message("action", b"", "chef"))
    items = (Judged(delivery, found),) * 3  # type: ignore[arg-type]
    reporter.observe(Committed(Batch(items, 1, "idle"), (Created("/a"), DuringRun("run_id"), Created("/a", True)), 0.1))
    (report,) = told
    assert report.drift == (DriftSeen("action", "entity_type", "enum", 2),)
    metrics = Metrics("")
    metrics.record(report)
    labels = {"kind": "action", "member": "entity_type", "difference": "enum"}
    assert metrics.registry.get_sample_value("chef_ingest_drift_total", labels) == 2


@given(st.lists(st.booleans(), max_size=20))
def test_no_count_is_lost_or_told_twice_when_reports_fail(through: list[bool]) -> None:
    """However many reports don't get through, those that do add up to all that was done until then."""
    told: list[Report] = []
    results = iter([*through, True])

    def send(report: Report) -> bool:
        if next(results):
            told.append(report)
            return True
        return False

    reporter = Reporter("main", send, monotonic=lambda: 0.0)
    for _ in range(len(through) + 1):
        reporter.observe(Committed(Batch((item(),), 1, "idle"), (Created("/a"),), 0.1))
    assert sum(report.outcomes.get("stored", 0) for report in told) == len(through) + 1
    assert sum(len(report.batches) for report in told) == len(through) + 1


def test_an_outage_is_counted_by_its_sqlstate() -> None:
    """The class of the error that caused it; `connection` where it has none."""
    told: list[Report] = []
    reporter = Reporter("main", lambda report: told.append(report) is None)
    known = StoreUnavailable("x")
    known.__cause__ = SimpleNamespaceError("57P01")
    reporter.error(known)
    reporter.error(StoreUnavailable("y"))
    reporter.dropped("broker")
    reporter.state("waiting", "because")
    assert told[0].errors == {"57": 1, "connection": 1}
    assert told[0].dropped == {"broker": 1}


class SimpleNamespaceError(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def test_reports_get_through_and_a_full_line_never_blocks() -> None:
    """A report comes out as it went in; when nobody reads, sending says no instead of waiting; rubbish is skipped."""
    reports = Reports()
    line = ReportLine(os.dup(reports.worker_fd))
    report = Report(pid=1, lane="main", state="consuming", ages={3: 2})
    assert line.send(report)
    os.write(reports.worker_fd, b"\xc1")
    assert reports.receive() == [report]
    sent = 0
    while line.send(report):
        sent += 1
    assert len(reports.receive()) == sent
    reports.close()
    assert not line.send(report)
    line._socket.close()
