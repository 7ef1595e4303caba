"""Workers are started without a secret to be seen, and replaced when they die or hang."""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace
from typing import cast

import pytest

from consumers.supervisor.metrics import Surroundings
from consumers.supervisor.monitor import Monitor
from consumers.supervisor.pool import Pool
from consumers.supervisor.slot import SILENT_SECONDS, UNHEARD_SECONDS, Death, Slot, cause_of
from consumers.supervisor.supervisor import worker_command
from consumers.telemetry.reports import Report
from tests.patience import LONG


def test_a_workers_command_line_holds_no_secret() -> None:
    """URLs with passwords travel in the environment, where `ps` does not show them."""
    assert "://" not in " ".join(worker_command("main", 3))


def test_a_worker_that_keeps_dying_is_replaced_ever_later() -> None:
    """The pause doubles with each early death, is bounded, and starts anew after a long life."""
    slot = Slot("main")
    pauses = [slot.bury(float(second), "failed", "")[1] for second in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.1)
    assert pauses[-1] == 30.0
    assert slot.bury(1000.0, "failed", "")[1] == pytest.approx(0.1)


def test_a_worker_whose_loop_hangs_is_killed_and_replaced() -> None:
    """Silent for longer than a loop may be, a worker that is deaf to signals is dead, and another one runs."""
    now = [0.0]
    reader, writer = os.pipe()
    deaf = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
    died: list[Death] = []
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
        assert sorted((death.lane, death.cause) for death in died) == [("main", "hung"), ("quarantine", "hung")]
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


def test_a_death_is_remembered_with_its_cause_however_long_ago() -> None:
    """What happened an hour ago is still counted, and says how; only the pause before the next one is short again."""
    slot = Slot("main")
    slot.bury(1.0, *cause_of(-signal.SIGKILL, hung=False))
    slot.bury(5000.0, *cause_of(1, hung=False))
    assert slot.described(9000.0)["deaths"] == 2
    assert slot.described(9000.0)["last_death"] == "it ended with exit code 1: its log says why"
    assert cause_of(-signal.SIGKILL, hung=False) == (
        "killed", "ended by SIGKILL: out of memory? the kernel's log (`dmesg`) tells",
    )  # fmt: skip
    assert cause_of(-signal.SIGKILL, hung=True)[0] == "hung"
    assert cause_of(-99, hung=False) == ("killed", "ended by signal 99")


def test_a_worker_that_is_not_heard_of_is_silent_and_shows_what_it_held() -> None:
    """It can't be called consuming by what it said long ago; one that is heard again, or starts, or goes, is not."""
    slot = Slot("main")
    slot.spawn(lambda lane, fd: [sys.executable, "-c", ""], 1, 0.0)
    assert slot.process is not None
    slot.process.wait(30)
    assert slot.state(UNHEARD_SECONDS + 1) == "starting"
    slot.hear(Report(pid=slot.process.pid, lane="main", state="consuming", inflight=7), 10.0)
    assert slot.state(10.0 + UNHEARD_SECONDS) == "consuming"
    row = slot.described(10.1 + UNHEARD_SECONDS)
    assert (row["state"], row["in_hand"], row["silent_seconds"]) == ("silent", 7, 5.1)
    slot.hear(Report(pid=slot.process.pid, lane="main", state="paused"), 30.0)
    assert slot.state(31.0) == "paused"
    slot.tell_to_go(60.0)
    assert slot.state(50.0) == "leaving"


def test_what_silent_workers_held_is_a_metric() -> None:
    """How long the longest silence is, how many are silent, and how many messages they had."""
    rows = [
        {"lane": "main", "state": "silent", "in_hand": 7, "silent_seconds": 9.0},
        {"lane": "main", "state": "consuming", "in_hand": 2, "silent_seconds": 0.4},
    ]
    pool = SimpleNamespace(described=lambda: rows, wanted=2)
    found = Surroundings(cast(Pool, pool), Monitor, lambda: True, {}).collect()
    values = {(sample.name, *sample.labels.values()): sample.value for metric in found for sample in metric.samples}
    assert values["chef_ingest_workers", "main", "silent"] == 1
    assert values["chef_ingest_longest_silence_seconds",] == 9.0
    assert values["chef_ingest_silent_messages",] == 7
    assert values["chef_ingest_inflight_messages",] == 9
