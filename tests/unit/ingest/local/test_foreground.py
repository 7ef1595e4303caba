"""`make` with the foreground launcher: Ctrl-C in a terminal, and signals sent by hand."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rooms import ROOT

COMMAND = """
import signal, sys, time
def stop(number, frame):
    print("stopping", flush=True)
    print("stopped", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def makefile(tmp_path: Path) -> Path:
    """A Makefile whose target runs a command that answers SIGINT with an orderly end."""
    (tmp_path / "command.py").write_text(COMMAND)
    recipe = f"@{sys.executable} -m ingest.local.foreground {sys.executable} command.py"
    (tmp_path / "Makefile").write_text(f"export PYTHONPATH := {ROOT}\nrun:\n\t{recipe}\n")
    return tmp_path


@pytest.fixture
def terminal(makefile: Path) -> Iterator[tuple[int, int]]:
    """`make run` as the session leader of a terminal of its own: make's pid, and our end of the terminal."""
    pid, end = pty.fork()
    if pid == 0:  # pragma: no cover
        os.execvp("make", ["make", "--silent", "-C", str(makefile), "run"])
    yield pid, end
    os.close(end)


def read_until(end: int, word: str) -> str:
    text = ""
    while word not in text:
        text += os.read(end, 1024).decode()
    return text


def test_ctrl_c_in_a_terminal_ends_make_with_zero(terminal: tuple[int, int]) -> None:
    """After Ctrl-C make's exit status is that of the command's orderly end, 0."""
    pid, end = terminal
    read_until(end, "up")
    os.write(end, b"\x03")
    read_until(end, "stopped")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_ctrl_z_does_not_freeze_it(terminal: tuple[int, int]) -> None:
    """Ctrl-Z stops nothing: the command still answers the Ctrl-C that follows."""
    pid, end = terminal
    read_until(end, "up")
    os.write(end, b"\x1a\x03")
    read_until(end, "stopped")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), id="SIGINT to the group"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGINT), id="SIGINT to make alone"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), id="SIGTERM to make alone"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGKILL), id="SIGKILL to make alone"),
    ],
)
def test_a_signal_to_make_reaches_the_command_once(makefile: Path, send: Callable[[int], None]) -> None:
    """Whoever of the two is signalled and however, the command is asked to end exactly once, and make ends after it."""
    command = ["make", "--silent", "-C", str(makefile), "run"]
    make = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert make.stdout is not None
    with make.stdout:
        assert make.stdout.readline() == "up\n"
        send(make.pid)
        assert make.stdout.read() == "stopping\nstopped\n"
    assert make.wait() != 0
