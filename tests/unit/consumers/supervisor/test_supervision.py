"""What the supervisor survives: its own absence, a machine without a process to spare, callers that dawdle, orphans."""

from __future__ import annotations

import errno
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rooms import ROOT

from consumers.supervisor.control import ControlSocket
from consumers.supervisor.pool import Pool
from consumers.supervisor.slot import SILENT_SECONDS, Death, Slot
from consumers.supervisor.supervisor import worker_command
from consumers.telemetry.reports import Report
from tests.patience import LONG

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[Pool]:
    """Two workers that do nothing, and never say so."""
    pool = Pool(lambda lane, fd: SLEEPS, 2, 2, 30.0, clock=clock)
    yield pool
    for slot in pool.slots:
        slot.kill()
        if slot.process:
            slot.process.wait(LONG)


def pids(pool: Pool) -> set[int | None]:
    return {slot.process.pid if slot.process else None for slot in pool.slots}


def test_absence_is_nobodys_silence(pool: Pool, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that was stopped for an hour kills no worker: it hears first, and counts from then on."""
    killed: list[Slot] = []
    monkeypatch.setattr(Slot, "kill", killed.append)
    pool.reconcile()
    for _ in range(3):
        clock.now += 3600
        pool.reconcile()
        assert pool.progressing
        assert not killed
    monkeypatch.undo()
    processes = [slot.process for slot in pool.slots if slot.process]
    while clock.now < 3 * 3600 + SILENT_SECONDS + 2:
        clock.now += 1
        pool.reconcile()
    assert [process.wait(LONG) for process in processes] == [-signal.SIGKILL] * 3


@pytest.mark.parametrize("proven", [False, True])
def test_exit_78_stops_everything_only_where_nothing_has_ever_worked(clock: Clock, proven: bool) -> None:
    """Once a worker has consumed with this configuration, one that can't is replaced like any that died."""
    pool = Pool(lambda lane, fd: [sys.executable, "-c", "raise SystemExit(78)"], 2, 1, 30.0, clock=clock)
    pool.reconcile()
    processes = [slot.process for slot in pool.slots if slot.process]
    if proven:
        pool.hear(Report(pid=processes[0].pid, lane="main", state="consuming"))
    assert [process.wait(LONG) for process in processes] == [78, 78]
    pool.reconcile()
    assert pool.misconfigured is not proven
    clock.now += 60
    pool.reconcile()
    assert any(slot.process for slot in pool.slots) is proven, "it is tried again"
    for slot in pool.slots:
        slot.kill()


def test_absence_takes_nothing_of_a_drain(pool: Pool, clock: Clock) -> None:
    """The grace of a worker that has been told to go goes on where it stood."""
    pool.reconcile()
    for slot in pool.slots:
        slot.tell_to_go(30.0, signal.SIGCONT)
    clock.now += 1000
    pool.reconcile()
    assert [slot.kill_at for slot in pool.slots if slot.leaving] == [1030.0] * 3


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOENT])
def test_a_failed_fork_is_a_death_with_a_pause(
    pool: Pool, clock: Clock, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process to spare: the other workers stay, and the missing one is tried again, ever later, until it comes."""
    died: list[Death] = []
    pool._on_death = died.append
    pool.reconcile()
    victim = pool.slots[-1].process
    assert victim is not None
    rest = pids(pool) - {victim.pid}
    victim.kill()
    victim.wait(LONG)
    tries: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", failing(number, lambda: tries.append(clock.now)))
        for _ in range(200):
            pool.reconcile()
            clock.now += 0.1
        assert pids(pool) == rest | {None}
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 4 <= len(tries) < 12
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(pauses[1:]))
    assert [death.cause for death in died] == ["killed"] + ["not started"] * len(tries)
    assert pool.last_death is not None
    assert os.strerror(number) in pool.last_death.why
    for _ in range(31):
        clock.now += 1
        pool.reconcile()
    assert None not in pids(pool)
    assert rest < pids(pool)


def failing(number: int, tried: Callable[[], None]) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        tried()
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def control(tmp_path: Path, clock: Clock) -> Iterator[ControlSocket]:
    control = ControlSocket(tmp_path, clock)
    yield control
    control.close()


def caller(control: ControlSocket) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.connect(str(control.path))
    line.settimeout(10)
    return line


def turn(control: ControlSocket, answer: dict[str, Any]) -> None:
    """Some turns of the loop, none of which waits."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        for _ in range(8):
            if selector.select(0):
                control.serve(lambda _: answer)
    control.drop_dawdlers()


BIG = {"much": "x" * 3_000_000}


@pytest.mark.parametrize("said", [b"", b" ", b'{"verb": "status"', b'{"verb": "status"}\n'])
def test_a_caller_that_dawdles_is_dropped_and_holds_up_nobody(
    control: ControlSocket, clock: Clock, said: bytes
) -> None:
    """However slowly it speaks or reads, others are answered at once, and after two seconds it is gone."""
    with caller(control) as dawdler:
        for _ in range(4):
            if said:
                dawdler.send(said)
            turn(control, BIG)
            with caller(control) as other:
                other.sendall(b'{"verb": "status"}\n')
                turn(control, {"well": True})
                assert json.loads(other.recv(1000)) == {"well": True}
            clock.now += 0.6
        turn(control, {})
        assert not control._callers


def test_a_crowd_at_the_socket_is_bounded(control: ControlSocket) -> None:
    """Callers beyond the bound push out the oldest; the newest is answered."""
    crowd = []
    for _ in range(100):
        crowd.append(caller(control))
        turn(control, {})
    assert len(control._callers) <= 32
    crowd[-1].sendall(b"{}\n")
    turn(control, {"well": True})
    assert json.loads(crowd[-1].recv(1000)) == {"well": True}
    assert crowd[0].recv(1) == b""
    for each in crowd:
        each.close()


def test_an_answer_larger_than_the_line_holds_arrives_whole(control: ControlSocket) -> None:
    """A caller that reads gets all of it, however many turns it takes."""
    with caller(control) as line:
        line.sendall(b"{}\n")
        turn(control, BIG)
        received = b""
        while not received.endswith(b"\n"):
            received += line.recv(1 << 20)
            turn(control, BIG)
    assert json.loads(received) == BIG


ORPHANS = """
import os, subprocess, time
from consumers.runtime.orphans import bury_orphans

assert os.getpid() == 1, os.getpid()
ours = subprocess.Popen(["sh", "-c", "exit 7"])
for _ in range(5):
    subprocess.run(["sh", "-c", "sh -c 'exit 3' & exit 0"], check=True)
code, left, until = None, None, time.monotonic() + 20
while time.monotonic() < until and (code is None or left):
    bury_orphans({ours.pid} if code is None else set())
    code = ours.poll() if code is None else code
    left = [each for each in os.listdir("/proc") if each.isdigit() and each != "1"]
    time.sleep(0.02)
print(code, left)
"""


def test_process_1_buries_orphans_and_leaves_its_own_to_who_waits() -> None:
    """In a container nobody else does, and the machine runs out of processes."""
    argv = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ORPHANS]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONG, check=False, cwd=ROOT)
    assert done.stdout.split() == ["7", "[]"], done.stderr


def test_a_worker_imports_nothing_from_where_it_was_started(tmp_path: Path) -> None:
    """A folder that others may write to must not decide what an operator runs."""
    (tmp_path / "click.py").write_text("raise SystemExit('run')")
    argv = [*worker_command("main", 2), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONG, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
