"""Runs a command in the terminal's foreground on behalf of `make`, so that Ctrl-C ends it and not make.

GNU make dies of the terminal's SIGINT whatever its recipe answers to it: `make run` would end with
"Error 130" after the most orderly stop. As a shell with job control does, this gives the command a process
group of its own and that group the terminal; make hears nothing, and takes over the command's exit status.
A signal that is sent to make or to its process group by hand is passed on (make's own status is then 130).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consumers.runtime.signals import heed

WATCH_SECONDS: Final = 0.5
TERMINAL: Final = 0


def run(argv: Sequence[str]) -> int:
    """Runs the command to its end; its exit status, 128 + N when signal N ended it."""
    parent = os.getppid()
    # There is no shell here that could continue a stopped command: Ctrl-Z does nothing.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else giving the terminal away stops us
    owns_terminal = os.isatty(TERMINAL) and os.tcgetpgrp(TERMINAL) == os.getpgrp()
    told: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def tell(number: int) -> None:
        told.append(number)
        if child is not None:
            child.send_signal(number)

    heed([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], tell)
    # The command takes the terminal itself, before it says or does anything: no Ctrl-C meets the wrong group.
    child = subprocess.Popen(argv, process_group=0, preexec_fn=_take_terminal if owns_terminal else None)
    for missed in tuple(told):  # before there was a command to be told
        child.send_signal(missed)
    try:
        while (status := _wait(child)) is None:
            if not told and (os.getppid() != parent or _handles_sigint(parent)):
                tell(signal.SIGINT)
    finally:
        if owns_terminal:
            with contextlib.suppress(OSError):  # the terminal may be gone: closed window, dead make
                os.tcsetpgrp(TERMINAL, os.getpgrp())
    return status if status >= 0 else 128 - status


def _take_terminal() -> None:
    os.tcsetpgrp(TERMINAL, os.getpgrp())


def _wait(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(WATCH_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _handles_sigint(make: int) -> bool:
    # Make, sent SIGINT alone, waits in its handler for a recipe that knows of nothing; while a
    # handler runs, its signal is blocked [signal(7), proc(5): SigBlk].
    try:
        lines = Path(f"/proc/{make}/status").read_text().splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:")]
    return any(mask & 1 << (signal.SIGINT - 1) for mask in masks)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
