"""Processor time by who used it: the broker, the database, the processes measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ingest.soak.system import children

_TICK = os.sysconf("SC_CLK_TCK")
_USED = slice(11, 15)
"""utime, stime, and both of the children that have ended, counted after the command's name [proc(5)]."""


def used(processes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Name -> seconds of processor time so far, of these pids and all that they have started."""
    return {name: sum(_seconds(pid) for root in pids for pid in family(root)) for name, pids in processes.items()}


def since(before: Mapping[str, float], processes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Name -> seconds used since `before`."""
    return {name: seconds - before[name] for name, seconds in used(processes).items()}


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started."""
    yield pid
    for child in children(pid):
        yield from family(child)


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[_USED])) / _TICK
