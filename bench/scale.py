"""Scale: more processes on one backlog, one process on a long backlog; memory: a worker full of large messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from bench import cpu, drain, tables
from bench.contenders import CONTENDERS, OURS
from bench.corpus import Corpus
from bench.rig import Rig

SECTION = "scale"
BACKLOG = "backlog"
MEMORY = "memory"


def section(rig: Rig, rounds: int, count: int, numbers: Sequence[int], backlogs: Sequence[int]) -> None:
    """So many processes in turn; then a short and a long backlog of small messages for one."""
    for _ in range(rounds):
        for processes in numbers:
            _measure(rig, SECTION, f"{processes} processes", Corpus("mix"), count, processes)
    for backlog in backlogs:
        # A short one is over in a second, and says little only once.
        for _ in range(rounds if backlog == min(backlogs) else 1):
            _measure(rig, BACKLOG, f"{backlog:,} messages", Corpus("small"), backlog)


def memory(rig: Rig, counts: Mapping[int, int]) -> None:
    """Peak memory for messages of so many bytes; there are enough of each for a full prefetch by count."""
    for size, count in counts.items():
        corpus = Corpus(str(size)) if size > 1000 else Corpus("small")
        _measure(rig, MEMORY, f"{size / 1000:g} KB", corpus, count)


def _measure(rig: Rig, section: str, name: str, corpus: Corpus, count: int, processes: int = 1) -> None:
    rig.measured(partial(_drained, rig, section, name, corpus, count, processes))


def _drained(rig: Rig, section: str, name: str, corpus: Corpus, count: int, processes: int) -> None:
    drained = drain.measure(rig, CONTENDERS[OURS], corpus, 0, count, processes)
    rig.results.add(section, name, count / drained.seconds, "msg/s", cpu.each(drained.cpu, count))
    rig.results.add("peak", f"{section} {name}", drained.peak_mb, "MB")
    rig.results.fault(section, name, tables.faults(rig.database_url, corpus, 0, count))
