"""Child processes: readiness, orderly ends, and leftovers that are recognised without doubt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.local.processes import Identity, Process, ProcessFailed, ProcessLedger, end, identify
from tests.patience import LONG

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
FAIL = "import sys; print('no such table: beans'); sys.exit(3)"


@pytest.fixture
def ledger(tmp_path: Path) -> ProcessLedger:
    return ProcessLedger(tmp_path / "processes.json")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)
    yield child
    child.kill()
    child.wait()


def python(code: str, ledger: ProcessLedger, log: Path, *, stop_seconds: float = 30.0) -> Process:
    environment = {"PATH": os.environ["PATH"]}
    argv = [sys.executable, "-c", code]
    return Process("child", argv, env=environment, ledger=ledger, log=log, stop_seconds=stop_seconds)


def said(log: Path, word: str) -> bool:
    return log.exists() and word in log.read_text()


def test_stop_ends_the_child_and_forgets_it(tmp_path: Path, ledger: ProcessLedger) -> None:
    """A stopped child is gone, with its stop signal as status, and so is its entry in the ledger."""
    log = tmp_path / "log"
    child = python(SLEEP, ledger, log)
    child.spawn()
    child.wait_ready(lambda: said(log, "up"), LONG)
    assert "child" in (tmp_path / "processes.json").read_text()
    assert child.stop() == -signal.SIGTERM
    assert child.pid is None
    assert (tmp_path / "processes.json").read_text() == "{}"


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path, ledger: ProcessLedger) -> None:
    """Stop ends even a child that ignores its stop signal."""
    log = tmp_path / "log"
    child = python(DEAF, ledger, log, stop_seconds=0.05)
    child.spawn()
    child.wait_ready(lambda: said(log, "deaf"), LONG)
    assert child.stop() == -signal.SIGKILL


def test_death_before_readiness_tells_the_logs_end(tmp_path: Path, ledger: ProcessLedger) -> None:
    """A child that dies before it is ready is reported with its status and its last words, not an earlier run's."""
    log = tmp_path / "log"
    log.write_text("words of an earlier run\n")
    child = python(FAIL, ledger, log)
    child.spawn()
    with pytest.raises(ProcessFailed, match="child ended with status 3") as caught:
        child.wait_ready(lambda: False, LONG)
    assert "no such table: beans" in str(caught.value)
    assert "earlier run" not in str(caught.value)


def test_a_slow_child_is_reported(tmp_path: Path, ledger: ProcessLedger) -> None:
    """A child that lives but is not ready in time is an error that says so."""
    child = python(SLEEP, ledger, tmp_path / "log")
    child.spawn()
    with pytest.raises(ProcessFailed, match="not ready within"):
        child.wait_ready(lambda: False, 0.05)
    child.stop()


def test_a_missing_program_is_an_error_with_its_name(tmp_path: Path, ledger: ProcessLedger) -> None:
    """A program that is not there is a ProcessFailed (or a child that ended at once) naming it."""
    child = Process("child", ["/no/such/program"], env={"PATH": ""}, ledger=ledger, log=tmp_path / "log")
    with pytest.raises(ProcessFailed, match="/no/such/program"):
        child.spawn()


def test_the_child_gets_only_the_given_environment(tmp_path: Path, ledger: ProcessLedger) -> None:
    """Nothing of our own environment reaches a child unasked."""
    log = tmp_path / "log"
    child = python("import os; print(sorted(os.environ), 'up', flush=True)", ledger, log)
    child.spawn()
    child.wait_ready(lambda: said(log, "up"), LONG)
    child.stop()
    assert "HOME" not in log.read_text()


def test_leftovers_are_ended_by_the_next_owner(
    tmp_path: Path, ledger: ProcessLedger, stranger: subprocess.Popen[bytes]
) -> None:
    """A process in the ledger that still runs is ended, and said to be."""
    identity = identify(stranger.pid)
    assert identity is not None
    ledger.add("postgres", identity, signal.SIGTERM)
    lines: list[str] = []
    ProcessLedger(tmp_path / "processes.json").end_leftovers(lines.append)
    assert stranger.wait(LONG) == -signal.SIGTERM
    assert len(lines) == 1
    assert str(stranger.pid) in lines[0]


def test_a_stranger_with_a_reused_pid_is_spared(
    tmp_path: Path, ledger: ProcessLedger, stranger: subprocess.Popen[bytes]
) -> None:
    """A process that began at another time than the recorded one is never touched, whatever its pid."""
    now = identify(stranger.pid)
    assert now is not None
    ledger.add("postgres", Identity(stranger.pid, "another-boot/1"), signal.SIGKILL)
    ProcessLedger(tmp_path / "processes.json").end_leftovers(lambda line: None)
    assert now.is_running()


def test_a_damaged_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """A ledger cut off in the middle of a write does not keep the next owner from starting."""
    path = tmp_path / "processes.json"
    path.write_text('{"postgres": [1')
    ProcessLedger(path).end_leftovers(lambda line: None)
    assert path.read_text() == "{}"


def test_a_zombie_does_not_run() -> None:
    """A process that has ended but was not waited for counts as ended."""
    child = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.DEVNULL)
    identity = identify(child.pid)
    assert identity is not None
    end(identity, signal.SIGKILL, 30)
    assert identify(child.pid) is None
    child.wait()


def test_a_stopped_process_is_ended(stranger: subprocess.Popen[bytes]) -> None:
    """A process frozen by SIGSTOP hears the request to end, too."""
    identity = identify(stranger.pid)
    assert identity is not None
    stranger.send_signal(signal.SIGSTOP)
    end(identity, signal.SIGTERM, 30)
    assert stranger.wait(LONG) == -signal.SIGTERM
