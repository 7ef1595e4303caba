"""What is measured while somebody else is at work is measured again, marked if it never was calm, and lost never."""

from __future__ import annotations

from collections.abc import Sequence

from bench.calm import PAUSE_SECONDS, REPEATS, Guard
from bench.results import Results

CORES = 2


class Machine:
    """One whose others use a share of it that the test says, and whose fixed work takes so long as it says.

    Time passes when it is slept, or measured.
    """

    cores = CORES

    def __init__(self, share: float = 0.0, work: float = 0.01) -> None:
        self.share = share
        self.took = work
        self._now = 0.0
        self._used = 0.0
        self.slept: list[float] = []
        self.unwritten = 0

    def others(self) -> float:
        return self._used

    def work(self) -> float:
        return self.took

    def write_back(self) -> None:
        self.unwritten = 0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passes(seconds)

    def passes(self, seconds: float) -> None:
        self._now += seconds
        self._used += seconds * CORES * self.share


class Bench:
    """A guard on such a machine, and measurements of ten seconds, each of which finds the others' next share."""

    def __init__(self, patience: float, *, before: float = 0.0) -> None:
        self.machine = Machine(before)
        self.results = Results(lambda text: None)
        self.guard = Guard(self.machine, patience, lambda text: None)
        self.done = 0

    def measure(self, shares: Sequence[float]) -> None:
        idle = self.machine.share

        def once() -> None:
            assert not self.machine.unwritten, "what the last one left to be written would be written during this one"
            self.machine.unwritten = 1
            self.machine.share = shares[self.done]
            self.machine.passes(10)
            self.machine.share = idle
            self.results.add("drain", "ours", float(self.done), "msg/s")
            self.done += 1

        self.guard.measured(self.results, once)

    def kept(self) -> tuple[list[float], int]:
        figure = self.results.figures["drain", "ours"]
        return figure.values, figure.busy


def test_on_a_calm_machine_each_measurement_is_made_once() -> None:
    """A share of one per cent, as a monitor takes, is nobody at work."""
    bench = Bench(patience=100)
    bench.measure([0.01])
    assert (bench.done, bench.kept()) == (1, ([0.0], 0))


def test_what_was_disturbed_is_measured_again_and_only_the_calm_one_is_kept() -> None:
    """The figure has one value for the round, and no mark."""
    bench = Bench(patience=100)
    bench.measure([0.5, 0.01])
    assert (bench.done, bench.kept()) == (2, ([1.0], 0))


def test_repeats_are_bounded_and_the_calmest_is_kept_with_its_mark() -> None:
    """On a machine that is never calm a run ends all the same."""
    bench = Bench(patience=1000)
    bench.measure([0.5, 0.2, 0.9, 0.0])
    assert (bench.done, bench.kept()) == (1 + REPEATS, ([1.0], 1))


def test_nothing_is_repeated_that_takes_longer_than_patience_is_left() -> None:
    """Two repeats of ten seconds are over the fifteen that there are."""
    bench = Bench(patience=15)
    bench.measure([0.5, 0.4, 0.3])
    assert (bench.done, bench.kept()) == (2, ([1.0], 1))


def test_it_waits_for_a_busy_machine_until_its_patience_ends() -> None:
    """All of the pauses together are what the whole run may wait."""
    bench = Bench(patience=10, before=0.5)
    bench.measure([0.0])
    assert sum(bench.machine.slept) > 10 - PAUSE_SECONDS
    assert bench.guard.patience < PAUSE_SECONDS
    assert bench.kept() == ([0.0], 0)


def test_a_slow_core_is_a_busy_machine_though_no_process_of_it_is_seen() -> None:
    """What a host or a neighbour takes shows in the fixed work alone."""
    bench = Bench(patience=0)
    bench.machine.took *= 1.5
    bench.measure([0.0])
    assert bench.kept() == ([0.0], 1)


def test_a_fault_of_a_measurement_that_is_not_kept_counts() -> None:
    """Wrong rows are wrong on a busy machine, too."""
    bench = Bench(patience=100)
    shares = iter([0.5, 0.0])

    def wrong_once() -> None:
        bench.machine.share = next(shares)
        if bench.machine.share:
            bench.results.fault("drain", "ours", ["1 row too few"])
        bench.machine.passes(10)
        bench.machine.share = 0.0

    bench.guard.measured(bench.results, wrong_once)
    assert bench.results.faults == ["drain: ours: 1 row too few"]
