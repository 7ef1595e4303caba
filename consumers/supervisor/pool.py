"""The workers of one supervisor: as many as are wanted, the quarantine lane beside them, rolled one by one."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from consumers.runtime.exit_codes import EXIT_CONFIGURATION
from consumers.supervisor.slot import Command, Death, Slot, cause_of
from consumers.telemetry.reports import Report
from schemas.labels import AT_WORK, DeathCause

ROLL_SECONDS = 60.0
"""How long a fresh worker may take to consume before the roll is given up and the old ones stay."""
AWAY_SECONDS = 5.0
"""Between two turns this long we were not running (stopped, frozen, our machine paused), and heard nobody."""


class Pool:
    """Reconciles what runs with what is wanted, each time `reconcile` is called; it never waits.

    `wanted` counts the main lane. `on_death` hears of each worker that died by itself.
    """

    def __init__(
        self,
        command: Command,
        report_fd: int,
        wanted: int,
        grace_seconds: float,
        on_death: Callable[[Death], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted = wanted
        self.grace_seconds = grace_seconds
        self.misconfigured = False
        """A worker has said (by exit 78) that a person has to change something."""
        self.deaths = 0
        self.last_death: Death | None = None
        """Of any worker, whether its slot is still there or not."""
        self.slots = [Slot("quarantine")]
        self._command = command
        self._report_fd = report_fd
        self._on_death = on_death
        self._clock = clock
        self._old: deque[Slot] = deque()
        self._fresh: Slot | None = None
        self._fresh_since = 0.0
        self._closing = False
        self._proven = False
        self._turned: float | None = None
        self.given_up = ""
        """Why the latest roll was given up; empty while it was not."""
        self._log = structlog.get_logger()

    def reconcile(self) -> None:
        """Bury the dead, kill the silent, roll, add, take away, and fill empty slots."""
        now = self._clock()
        self._notice_absence(now)
        for slot in list(self.slots):
            self._reap(slot, now)
        if self._closing:
            return
        self._roll(now)
        self._resize(now)
        for slot in self.slots:
            empty = slot.process is None and not slot.leaving and now >= slot.not_before
            if empty and not self.misconfigured:
                self._fill(slot, now)

    def hear(self, report: Report) -> None:
        """Note a report in its worker's slot; the last words of one that has gone are nobody's."""
        for slot in self.slots:
            if slot.process is not None and slot.process.pid == report.pid:
                slot.hear(report, self._clock())
                self._proven = self._proven or report.state in AT_WORK

    def roll(self) -> None:
        """Replace every worker that runs now, one by one, each only once its successor consumes."""
        self._old = deque(slot for slot in self.slots if not slot.leaving)
        self.given_up = ""

    @property
    def rolling(self) -> bool:
        return bool(self._old)

    def drain(self) -> None:
        """Tell all to finish what they hold; they are killed when their grace is over."""
        self._end(self._clock() + self.grace_seconds, signal.SIGTERM)

    def hurry(self, seconds: float) -> None:
        """Tell all to give back what they hold."""
        self._end(self._clock() + seconds, signal.SIGQUIT)

    @property
    def gone(self) -> bool:
        """Every worker has ended."""
        return all(slot.process is None for slot in self.slots)

    @property
    def progressing(self) -> bool:
        """No worker hangs: each one's loop has been heard of lately."""
        now = self._clock()
        return not any(slot.silent(now) for slot in self.slots)

    @property
    def pids(self) -> frozenset[int]:
        """Processes that we wait for ourselves."""
        return frozenset(slot.process.pid for slot in self.slots if slot.process is not None)

    def at_work(self) -> int:
        """Main workers that take the messages there are to take."""
        now = self._clock()
        return sum(slot.lane == "main" and slot.state(now) in AT_WORK for slot in self.slots)

    def described(self) -> list[dict[str, Any]]:
        """One row a worker, the main lane first, oldest first."""
        now = self._clock()
        ordered = sorted(self.slots, key=lambda slot: (slot.lane, slot.started))
        return [slot.described(now) for slot in ordered]

    def _end(self, kill_at: float, number: int) -> None:
        self._closing = True
        for slot in self.slots:
            slot.tell_to_go(kill_at, number)

    def _notice_absence(self, now: float) -> None:
        """Time in which we did not run is nobody's silence, and takes from nobody's grace."""
        away = 0.0 if self._turned is None else now - self._turned
        self._turned = now
        if away <= AWAY_SECONDS:
            return
        self._log.warning("was away", seconds=round(away, 1), why="this process did not run: stopped or frozen?")
        self._fresh_since += away
        for slot in self.slots:
            slot.postpone(away)

    def _fill(self, slot: Slot, now: float) -> None:
        """A machine that has no process to spare is as a worker that died: it is tried again, ever later."""
        try:
            slot.spawn(self._command, self._report_fd, now)
        except OSError as error:
            slot.started = now
            why = error.strerror or str(error)
            pause = self._bury(slot, now, "not started", f"it could not be started: {why}")
            self._log.error("worker not started", lane=slot.lane, why=why, again_in_seconds=round(pause, 1))

    def _reap(self, slot: Slot, now: float) -> None:
        if slot.process is None:
            if slot.leaving:
                self.slots.remove(slot)
            return
        code = slot.process.poll()
        if code is None:
            if slot.kill_at is not None and now > slot.kill_at:
                self._log.warning("worker killed", why="it did not end in time", pid=slot.process.pid)
                slot.kill()
            elif slot.silent(now):
                self._log.error("worker killed", why="its loop hangs", pid=slot.process.pid)
                slot.kill()
                slot.heard, slot.hung = now, True
            return
        if slot.leaving:
            slot.process = None
            self.slots.remove(slot)
            return
        if self._nothing_works(code, slot):
            slot.process = None
            self.misconfigured = True
            return
        cause, why = cause_of(code, slot.hung)
        pause = self._bury(slot, now, cause, why)
        self._log.warning("worker died", lane=slot.lane, code=code, why=why, replaced_in_seconds=round(pause, 1))
        if code == EXIT_CONFIGURATION and slot is self._fresh:
            self._give_up_roll("the new worker can't work with the configuration; the old ones stay")

    def _nothing_works(self, code: int, slot: Slot) -> bool:
        # With this configuration workers have consumed: a password that is being rotated, a limit, a right that was
        # taken away by mistake are no reason to stop all of them.
        return code == EXIT_CONFIGURATION and slot is not self._fresh and not self._proven

    def _bury(self, slot: Slot, now: float, cause: DeathCause, why: str) -> float:
        """Count a death; the seconds until the slot is filled again."""
        self.last_death, pause = slot.bury(now, cause, why)
        self.deaths += 1
        self._on_death(self.last_death)
        return pause

    def _roll(self, now: float) -> None:
        while self._old and self._old[0] not in self.slots:
            self._old.popleft()
            if not self._old:
                self._log.info("workers rolled")
        if not self._old or self._old[0].leaving:
            return
        if self._fresh is None:
            self._fresh, self._fresh_since = Slot(self._old[0].lane), now
            self.slots.append(self._fresh)
        elif self._fresh.state(now) in AT_WORK:
            self._fresh = None
            self._old[0].tell_to_go(now + self.grace_seconds)
        elif now - self._fresh_since > ROLL_SECONDS:
            self._give_up_roll("the new worker does not get to consuming; the old ones stay")

    def _give_up_roll(self, why: str) -> None:
        self._log.error("roll given up", why=why)
        self.given_up = why
        self._old.clear()
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            fresh.tell_to_go(self._clock() + self.grace_seconds)

    def _resize(self, now: float) -> None:
        staying = [slot for slot in self.slots if slot.lane == "main" and not slot.leaving and slot is not self._fresh]
        self.slots += [Slot("main") for _ in range(self.wanted - len(staying))]
        # The youngest go: the longest at work have proved themselves.
        for slot in sorted(staying, key=lambda each: each.started)[self.wanted :]:
            slot.tell_to_go(now + self.grace_seconds)
