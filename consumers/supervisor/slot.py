"""A place for one worker process: who sits in it, what it last said, and when a dead one is replaced."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from consumers.telemetry.reports import Report
from schemas.labels import LaneName

Command = Callable[[str, int], Sequence[str]]
"""Lane and the descriptor to report to -> the argv that runs one worker."""

LONGEST_BACKOFF_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 60.0
"""A worker's loop reports every second; one that has been silent for so long hangs."""


@dataclass(slots=True, eq=False)
class Slot:
    """Times are seconds of the monotonic clock."""

    lane: LaneName
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    not_before: float = 0.0
    said: Report | None = None
    heard: float = 0.0
    kill_at: float | None = None
    """When it is killed, for one that has been told to go."""

    @property
    def leaving(self) -> bool:
        return self.kill_at is not None

    @property
    def state(self) -> str:
        """starting, consuming, paused, waiting, draining, leaving, or dead while it waits to be replaced."""
        if self.process is None:
            return "dead"
        if self.leaving:
            return "leaving"
        return self.said.state if self.said else "starting"

    def spawn(self, command: Command, report_fd: int, now: float) -> None:
        """Put a worker in."""
        argv = command(self.lane, report_fd)
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=(report_fd,))
        self.started = self.heard = now
        self.said = None

    def hear(self, report: Report, now: float) -> None:
        """Take note of what the worker in here reports."""
        self.said, self.heard = report, now

    def tell_to_go(self, kill_at: float, number: int = signal.SIGTERM) -> None:
        """Ask it to end, by SIGTERM or, hurried, by SIGQUIT; it is killed at `kill_at`."""
        self.kill_at = kill_at if self.kill_at is None else min(kill_at, self.kill_at)
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, which is always safe: what it held goes back to the queue."""
        if self.process is not None:
            self.process.kill()

    def postpone(self, seconds: float) -> None:
        """Time in which nobody listened is not counted."""
        self.heard += seconds
        if self.kill_at is not None:
            self.kill_at += seconds

    def silent(self, now: float) -> bool:
        """Whether its loop hangs."""
        return self.process is not None and now - self.heard > SILENT_SECONDS

    def bury(self, now: float) -> float:
        """Empty the slot; the seconds until it is filled again, longer each time it dies young."""
        self.process, self.said = None, None
        self.deaths = 1 if now - self.started > 60 else self.deaths + 1
        pause = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2.0 ** (self.deaths - 1))
        self.not_before = now + pause
        return pause

    def described(self, now: float) -> dict[str, Any]:
        """One row for status and dumps."""
        said = self.said
        return {
            "pid": self.process.pid if self.process else None,
            "lane": self.lane,
            "state": self.state,
            "why": said.why if said else "",
            "in_hand": said.inflight if said else 0,
            "up_seconds": round(now - self.started, 1) if self.process else 0.0,
            "silent_seconds": round(now - self.heard, 1) if self.process else 0.0,
            "deaths": self.deaths,
        }
