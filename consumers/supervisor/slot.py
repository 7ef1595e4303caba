"""A place for one worker process: who sits in it, what it last said, and when a dead one is replaced."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from consumers.telemetry.reports import Report
from schemas.labels import DeathCause, LaneName

Command = Callable[[str, int], Sequence[str]]
"""Lane and the descriptor to report to -> the argv that runs one worker."""

LONGEST_BACKOFF_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 60.0
"""A worker's loop reports every second; one that has been silent for so long hangs."""
UNHEARD_SECONDS: Final = 5.0
"""Of one that has been silent for so long nobody knows what it does: that it still consumes must not be said."""


@dataclass(frozen=True, slots=True)
class Death:
    """One worker's end that nobody had asked for; `why` is for a person, `at` is on the monotonic clock."""

    lane: LaneName
    pid: int | None
    cause: DeathCause
    why: str
    at: float

    def described(self, now: float) -> dict[str, Any]:
        """One row for status and dumps."""
        facts = {"lane": self.lane, "pid": self.pid, "cause": self.cause, "why": self.why}
        return facts | {"seconds_ago": round(now - self.at, 1)}


def cause_of(code: int, hung: bool) -> tuple[DeathCause, str]:
    """How a worker came to its end, from its exit status; and in words that say where to look."""
    if hung:
        return "hung", f"its loop hung: not heard of for {SILENT_SECONDS:g} s, and killed"
    if code >= 0:
        return "failed", f"it ended with exit code {code}: its log says why"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    remedy = ": out of memory? the kernel's log (`dmesg`) tells" if -code == signal.SIGKILL else ""
    return "killed", f"ended by {name}{remedy}"


@dataclass(slots=True, eq=False)
class Slot:
    """Times are seconds of the monotonic clock."""

    lane: LaneName
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    """Since the slot is there."""
    last_death: Death | None = None
    hung: bool = False
    """It was killed since its loop hung."""
    _young: int = 0
    """Deaths in a row that came within a minute."""
    not_before: float = 0.0
    said: Report | None = None
    heard: float = 0.0
    kill_at: float | None = None
    """When it is killed, for one that has been told to go."""

    @property
    def leaving(self) -> bool:
        return self.kill_at is not None

    def state(self, now: float) -> str:
        """What it last said: starting, consuming, resting, paused, waiting, draining; silent where that was long ago;
        leaving when it has been told to; dead while it waits to be replaced."""
        if self.process is None:
            return "dead"
        if self.leaving:
            return "leaving"
        if self.said is None:
            return "starting"
        return "silent" if self.hung or now - self.heard > UNHEARD_SECONDS else self.said.state

    def spawn(self, command: Command, report_fd: int, now: float) -> None:
        """Put a worker in."""
        argv = command(self.lane, report_fd)
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=(report_fd,))
        self.started = self.heard = now
        self.said, self.hung = None, False

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

    def bury(self, now: float, cause: DeathCause, why: str) -> tuple[Death, float]:
        """Empty the slot; its worker's death, and the seconds until it is filled again: longer each time one dies
        young."""
        death = Death(self.lane, self.process.pid if self.process else None, cause, why, now)
        self.process, self.said, self.last_death = None, None, death
        self.deaths += 1
        self._young = 1 if now - self.started > 60 else self._young + 1
        pause = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2.0 ** (self._young - 1))
        self.not_before = now + pause
        return death, pause

    def described(self, now: float) -> dict[str, Any]:
        """One row for status and dumps."""
        said = self.said
        return {
            "pid": self.process.pid if self.process else None,
            "lane": self.lane,
            "state": self.state(now),
            "why": said.why if said else "",
            "in_hand": said.inflight if said else 0,
            "up_seconds": round(now - self.started, 1) if self.process else 0.0,
            "silent_seconds": round(now - self.heard, 1) if self.process else 0.0,
            "deaths": self.deaths,
            "last_death": self.last_death.why if self.last_death else "",
        }
