"""A worker that waits for an outage to end is alive, and says so."""

from __future__ import annotations

import itertools

import pytest

from consumers.runtime.failpoints import Failpoint
from consumers.supervisor.slot import SILENT_SECONDS
from consumers.telemetry.reporter import Reporter
from consumers.worker import process
from consumers.worker.lanes import main_lane
from schemas.settings import Settings


class Clock:
    """Time that passes while somebody waits; as an event, it never comes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def is_set(self) -> bool:
        return False


def test_a_worker_that_waits_reports_all_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words do not change in an outage of an hour: who reports only changes is killed as one that hangs."""
    clock = Clock()
    heard: list[tuple[float, str]] = []

    def send(report: object) -> bool:
        heard.append((clock.now, report.state))  # type: ignore[attr-defined]
        return True

    reporter = Reporter("main", send, monotonic=clock)
    monkeypatch.setattr(process.time, "monotonic", clock)
    worker = process.Worker(Settings(), main_lane(Settings()), "test", Failpoint(), reporter=reporter)
    worker._stop = clock  # type: ignore[assignment]
    while clock.now < 3600:
        worker._wait(9.7, "the broker is down")
    times = [at for at, state in heard if state == "waiting"]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < SILENT_SECONDS / 10
