"""Counts what a worker does, batch by batch, and reports it up the line."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from consumers.delivery import Committed, Judged
from consumers.ledger.drift import drifts
from consumers.telemetry.reports import MOST_BATCHES, BatchSeen, DriftSeen, Report
from schemas.labels import AT_WORK, NO_SQLSTATE, AnswerLoss, Doing, WorkerState

REPORT_SECONDS: Final = 1.0
_RUNNING: Final = (*AT_WORK, "paused")


class Reporter:
    """A worker's counters. `send` says whether a report got through; if not, the next one tells it all.

    All but `error` belong to the worker's loop; `error` may be called from any thread.
    """

    def __init__(
        self,
        lane: str,
        send: Callable[[Report], bool] = lambda _: True,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._lane = lane
        self._send = send
        self._monotonic = monotonic
        self._now = now
        self._state: WorkerState = "starting"
        self._why = ""
        self._inflight = 0
        self._sent_at = float("-inf")
        self._committed_at = 0.0
        self._failures: deque[str] = deque()
        self._faulted: deque[Doing] = deque()
        self._forget()

    def state(self, state: WorkerState, why: str = "") -> None:
        """Tell at once when what we are doing has changed."""
        if (state, why) != (self._state, self._why):
            self._state, self._why = state, why
            self._report()

    def tick(self, inflight: int, paused: str = "", why: str = "", *, resting: bool = False) -> None:
        """Called each time round the loop; `paused` is why commits wait, while they do, `why` another thing to say;
        `resting`: there is nothing to consume."""
        self._inflight = inflight
        if self._state in _RUNNING:
            self.state("paused" if paused else "resting" if resting else "consuming", paused or why)
        if self._monotonic() - self._sent_at >= REPORT_SECONDS:
            self._report()

    def observe(self, committed: Committed) -> None:
        """Count a batch that is committed."""
        now = self._now()
        batch = committed.batch
        for verdict in committed.verdicts:
            fate = verdict.fate
            if fate.counted:
                self._outcomes[fate.outcome] += 1
            if fate.resolves:
                self._door_mismatches += getattr(verdict, "door_mismatch", False)
            elif sqlstate := getattr(verdict, "sqlstate", None):
                self._failures.append(sqlstate)
        for each in drifts(batch.items, committed.verdicts):
            self._drift[each.kind, each.member, each.difference] += each.messages
        self._count_ages(batch.items, int(now))
        if not self._outcomes:
            return
        self._committed_at = now
        # Not in hand any more; the loop's next tick will say so too, but up to a second later.
        self._inflight = max(0, self._inflight - len(batch.items))
        if len(self._batches) < MOST_BATCHES:
            self._batches.append(BatchSeen(batch.trigger, len(batch.items), batch.bytes, committed.seconds))
        self._report()

    def error(self, error: BaseException) -> None:
        """Count a failure of the database, found in an error or in what caused it."""
        sqlstate = getattr(error.__cause__, "sqlstate", None) or getattr(error, "sqlstate", None)
        self._failures.append(sqlstate or NO_SQLSTATE)

    def fault(self, doing: Doing) -> None:
        """Count a fault of our own code; any thread may."""
        self._faulted.append(doing)

    def dropped(self, why: AnswerLoss) -> None:
        """Count an answer that did not go out."""
        self._dropped[why] += 1

    def _count_ages(self, items: Sequence[Judged], now: int) -> None:
        stamps = Counter(getattr(item.delivery.properties, "timestamp", None) for item in items)
        for stamp, count in stamps.items():
            if type(stamp) is int:
                self._ages[max(0, now - stamp)] += count

    def _report(self) -> None:
        self._sent_at = self._monotonic()
        while self._failures:
            failure = self._failures.popleft()
            self._errors[failure if failure == NO_SQLSTATE else failure[:2]] += 1
        while self._faulted:
            self._faults[self._faulted.popleft()] += 1
        report = Report(
            pid=os.getpid(),
            lane=self._lane,
            state=self._state,
            why=self._why,
            inflight=self._inflight,
            outcomes=dict(self._outcomes),
            batches=tuple(self._batches),
            ages=dict(self._ages),
            errors=dict(self._errors),
            faults=dict(self._faults),
            dropped=dict(self._dropped),
            door_mismatches=self._door_mismatches,
            drift=tuple(DriftSeen(*key, count) for key, count in self._drift.items()),
            committed_at=self._committed_at,
        )
        if self._send(report):
            self._forget()

    def _forget(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._ages: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._door_mismatches = 0
        self._drift: Counter[tuple[str, str, str]] = Counter()
        self._batches: list[BatchSeen] = []
