"""Whether the machine is ours: what others use and how long a fixed piece of work takes, around each measurement."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import cpu
from bench.children import Child, ChildFailed, running
from bench.results import Results

OTHERS: Final = 0.05
"""So much of the machine's processors may go to others, the host among them."""
SLOWER: Final = 1.25
"""So many times the best of this run may the fixed work take."""
REPEATS: Final = 2
"""How often a measurement on a busy machine is tried again."""
LOOK_SECONDS: Final = 0.3
PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What came from outside: the share of the machine that others used, the fixed work's time over the best."""

    others: float
    slower: float

    @property
    def calm(self) -> bool:
        return self.others <= OTHERS and self.slower <= SLOWER

    @property
    def size(self) -> float:
        """1 is the most that counts as calm."""
        return max(self.others / OTHERS, (self.slower - 1) / (SLOWER - 1))

    def __str__(self) -> str:
        return f"others use {self.others:.0%} of the machine, the fixed work takes {self.slower:.2f} of its best"


class Machine:
    """The real one: its processes, and a child on each core that does the fixed work."""

    def __init__(self, workers: list[Child]) -> None:
        self._workers = workers
        self.cores = len(workers)

    def others(self) -> float:
        return cpu.others()

    def work(self) -> float:
        """Seconds on the slowest core, all at work at once. Raises ChildFailed."""
        for worker in self._workers:
            assert worker.process.stdin is not None
            worker.process.stdin.write("go\n")
            worker.process.stdin.flush()
        return max(self._said(worker) for worker in self._workers)

    def write_back(self) -> None:
        """What files have been given so far is on the disk: else the kernel writes it when it is half a minute old, and
        whoever waits for the disk by then waits 100 to 300 ms longer [measured]."""
        os.sync()

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _said(self, worker: Child) -> float:
        assert worker.process.stdout is not None
        line = worker.process.stdout.readline()
        if not line:
            raise ChildFailed(f"{worker.name} said nothing:\n{worker.log_end()}")
        return float(line)


@contextlib.contextmanager
def machine(logs: Path) -> Iterator[Machine]:
    """This machine, for the length of a `with`."""
    cores = sorted(os.sched_getaffinity(0))
    commands = {f"calibration {core}": [sys.executable, "-m", "bench.calibrate", str(core)] for core in cores}
    with running(commands, {}, logs) as workers:
        yield Machine(workers)


class Guard:
    """Measures when the machine is calm, again when it was not, and marks what never was.

    `patience` is how many seconds of the whole run may go into waiting and measuring again.
    """

    def __init__(self, machine: Machine, patience: float, say: Callable[[str], None]) -> None:
        self._machine = machine
        self._say = say
        self._best = machine.work()
        self._calm = False
        self.patience = patience

    def measured(self, results: Results, measure: Callable[[], None]) -> None:
        """Of several tries the calmest is kept."""
        kept = None
        for left in range(REPEATS, -1, -1):
            if not self._calm:
                self._wait()
            self._machine.write_back()
            began, before = self._machine.now(), self._machine.others()
            measure()
            found = self._since(began, before)
            self._calm, took = found.calm, self._machine.now() - began
            values = results.taken()
            if kept is None or found.size < kept[0].size:
                kept = found, values
            if found.calm or not left or took > self.patience:
                break
            self._say(f"busy: {found}: once more")
            self.patience -= took
        assert kept is not None
        results.keep(kept[1], busy=not kept[0].calm)

    def _wait(self) -> None:
        """Until it is calm, or patience is at its end."""
        while self.patience >= PAUSE_SECONDS:
            began, before = self._machine.now(), self._machine.others()
            self._machine.sleep(LOOK_SECONDS)
            if self._since(began, before).calm:
                return
            self._machine.sleep(PAUSE_SECONDS)
            self.patience -= self._machine.now() - began

    def _since(self, began: float, before: float) -> Disturbance:
        room = (self._machine.now() - began) * self._machine.cores
        others = max(0.0, self._machine.others() - before) / room
        took = self._machine.work()
        self._best = min(self._best, took)
        return Disturbance(others, took / self._best)
