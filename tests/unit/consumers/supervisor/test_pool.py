"""Workers are started without a secret to be seen, and replaced when they die or hang."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from consumers.supervisor.pool import Pool
from consumers.supervisor.slot import SILENT_SECONDS, Slot
from consumers.supervisor.supervisor import worker_command
from tests.patience import LONG


def test_a_workers_command_line_holds_no_secret() -> None:
    """URLs with passwords travel in the environment, where `ps` does not show them."""
    assert "://" not in " ".join(worker_command("main", 3))


def test_a_worker_that_keeps_dying_is_replaced_ever_later() -> None:
    """The pause doubles with each early death, is bounded, and starts anew after a long life."""
    slot = Slot("main")
    pauses = [slot.bury(float(second)) for second in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.1)
    assert pauses[-1] == 30.0
    assert slot.bury(1000.0) == pytest.approx(0.1)


def test_a_worker_whose_loop_hangs_is_killed_and_replaced() -> None:
    """Silent for longer than a loop may be, a worker that is deaf to signals is dead, and another one runs."""
    now = [0.0]
    reader, writer = os.pipe()
    deaf = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
    died: list[str] = []
    pool = Pool(lambda lane, fd: deaf, writer, 1, 0.0, died.append, clock=lambda: now[0])
    try:
        pool.reconcile()
        before = [slot.process for slot in pool.slots]
        while now[0] < SILENT_SECONDS:
            now[0] += 1
            pool.reconcile()
        now[0] += 1
        assert not pool.progressing
        pool.reconcile()
        assert [process.wait(LONG) for process in before if process] == [-signal.SIGKILL] * 2
        pool.reconcile()
        assert sorted(died) == ["main", "quarantine"]
        now[0] += 1
        pool.reconcile()
        assert {slot.process.poll() if slot.process else 0 for slot in pool.slots} == {None}
        assert not {slot.process for slot in pool.slots} & set(before)
    finally:
        for slot in pool.slots:
            slot.kill()
            if slot.process:
                slot.process.wait(LONG)
        os.close(reader)
        os.close(writer)
