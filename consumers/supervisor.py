"""Keeps the wanted number of worker processes alive, and the quarantine lane beside them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from consumers.worker import EXIT_CONFIGURATION

Command = Callable[[str], Sequence[str]]
"""Lane -> the argv that runs one worker of it."""

LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(slots=True)
class Slot:
    """A place for one worker; the process in it, and when a dead one may be replaced."""

    lane: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    not_before: float = 0.0


class Supervisor:
    """Starts workers, replaces those that die, with backoff, and stops them all when told to.

    A worker that exits 78 stops everything: a person has to change the configuration.
    """

    def __init__(self, command: Command, workers: int, grace_seconds: float) -> None:
        self._command = command
        self._slots = [Slot("main") for _ in range(workers)] + [Slot("quarantine")]
        self._grace = grace_seconds
        self._stop = threading.Event()
        self._code = 0
        self._log = structlog.get_logger()

    def stop(self) -> None:
        """Drain every worker and return from `run`; safe in a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Until `stop`, or a configuration fault; the exit code."""
        while not self._stop.is_set():
            for slot in self._slots:
                self._reconcile(slot)
            self._stop.wait(0.2)
        return self._drain()

    def _reconcile(self, slot: Slot) -> None:
        now = time.monotonic()
        if slot.process is not None:
            code = slot.process.poll()
            if code is None:
                return
            self._bury(slot, code, now)
        if now >= slot.not_before and not self._stop.is_set():
            slot.process = subprocess.Popen(self._command(slot.lane), stdin=subprocess.DEVNULL)
            slot.started = now

    def _bury(self, slot: Slot, code: int, now: float) -> None:
        slot.process = None
        if code == EXIT_CONFIGURATION:
            self._code = EXIT_CONFIGURATION
            self.stop()
            return
        slot.deaths = 1 if now - slot.started > 60 else slot.deaths + 1
        pause = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2 ** (slot.deaths - 1))
        slot.not_before = now + pause
        self._log.warning("worker died", lane=slot.lane, code=code, replaced_in_seconds=round(pause, 1))

    def _drain(self) -> int:
        processes = [slot.process for slot in self._slots if slot.process is not None]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # SIGKILL is always safe: what it held goes back to the queue.
                process.kill()
                process.wait()
                self._log.warning("worker killed: it did not drain in time", pid=process.pid)
        return self._code


def worker_command(lane: str) -> Sequence[str]:
    """A worker run by this interpreter, configured by the environment as we are."""
    return [sys.executable, "-m", "ingest", "worker", "--lane", lane]


def run_supervisor(workers: int, grace_seconds: float, command: Command = worker_command) -> int:
    """A supervisor in this process, SIGTERM and SIGINT draining it; its exit code."""
    supervisor = Supervisor(command, workers, grace_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor.run()
