"""Processor time by who used it: the broker, the database, the processes measured, everybody else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ingest.soak.system import children

_TICK = os.sysconf("SC_CLK_TCK")
_USED = slice(11, 15)
"""utime, stime, and both of the children that have ended, counted after the command's name [proc(5)]."""
_FLAGS = 6
_KERNEL_THREAD = 0x00200000
_STOLEN = 8


def used(processes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Name -> seconds of processor time so far, of these pids and all that they have started."""
    return {name: sum(_seconds(pid) for root in pids for pid in family(root)) for name, pids in processes.items()}


def since(before: Mapping[str, float], processes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Name -> seconds used since `before`."""
    return {name: seconds - before[name] for name, seconds in used(processes).items()}


def each(seconds: Mapping[str, float], count: int) -> dict[str, float]:
    """Name -> microseconds for each of `count` messages."""
    return {name: value / count * 1e6 for name, value in seconds.items()}


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started."""
    yield pid
    for child in children(pid):
        yield from family(child)


def of(pid: int) -> float:
    """Seconds of processor time so far, of one process alone."""
    return _seconds(pid)


def others() -> float:
    """Seconds of processor time so far that went to processes which are neither ours nor the kernel's, or were stolen
    from the whole machine.

    What the kernel's threads do (write our files, carry our bytes) they do for whoever is at work.
    """
    ours = set(family(os.getpid()))
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return stolen() + sum(_seconds(pid) for pid in pids if pid not in ours and not _is_kernel(pid))


def stolen() -> float:
    """Seconds so far that the machine's host kept for itself."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[_STOLEN]) / _TICK


def _is_kernel(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and bool(int(fields[_FLAGS]) & _KERNEL_THREAD)


def _seconds(pid: int) -> float:
    return sum(map(int, _stat(pid)[_USED])) / _TICK


def _stat(pid: int) -> list[str]:
    """A process's facts after its name; none when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
