"""What process 1 of a container owes to those whose parents have died: to take note of their end."""

from __future__ import annotations

import os
from collections.abc import Container


def bury_orphans(ours: Container[int]) -> None:
    """Reap ended children that nobody else waits for; `ours` are waited for by who started them.

    Only process 1 is given others' children; anybody else has none to bury.
    """
    if os.getpid() != 1:
        return
    while (pid := _ended()) and pid not in ours:
        os.waitpid(pid, os.WNOHANG)


def _ended() -> int:
    """A child that has ended and is not reaped yet; 0: none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found else 0
