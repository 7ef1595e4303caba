"""Age: messages come at a fixed rate; how old is each when its row can be read, counted from when it was due?"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

from bench import cpu, tables
from bench.children import Child, ChildFailed, finished, running
from bench.contenders import CONTENDERS, OURS, environment
from bench.corpus import Corpus
from bench.post import timed_insert
from bench.rig import Rig

SECTION: Final = "age"
PERCENTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
AHEAD_SECONDS: Final = 1.5
"""Until the publisher has made its messages and is connected."""
WARM_SECONDS: Final = 1.0
"""Of the load, whose messages are stored like all others, but not timed."""
LATE_SECONDS: Final = 60.0
"""Nothing waits longer than that for its commit."""
LOOK_SECONDS: Final = 0.001
INSERT: Final = ", a bare INSERT"
ASKED: Final = 100
"""Ids asked for at once, the oldest ones."""
INSERTS: Final = 40
REST_SECONDS: Final = 0.02


def at(rate: int) -> str:
    return f"{rate:,}/s"


def insert_at(rate: int) -> str:
    """The bare INSERT commits that are measured beside a load, one by one, with nothing else at work."""
    return at(rate) + INSERT


def section(rig: Rig, rounds: int, loads: Mapping[int, float]) -> None:
    """Each rate for so many seconds in turn, one worker for all of them."""
    tables.empty(rig.database_url)
    rig.gauge.purge()
    env = environment(rig.home, rig.amqp_url, rig.database_url)
    with running(CONTENDERS[OURS].commands(rig.home, 1, 0), env, rig.logs) as children:
        ages = Ages(rig, children[0])
        for _ in range(rounds):
            for rate, seconds in loads.items():
                rig.measured(partial(ages.measure, rate, seconds))
    ages.verify()


class Ages:
    """Counts what has been published, so that every message is another one."""

    def __init__(self, rig: Rig, worker: Child) -> None:
        self._rig = rig
        self._worker = worker
        self._corpus = Corpus("mix", seed=4)
        self._published = 0

    def measure(self, rate: int, seconds: float) -> None:
        """Messages at a rate for so long; ages, processor time a message, and the INSERTs beside it."""
        results = self._rig.results
        count, start = int(rate * (WARM_SECONDS + seconds)), self._published
        self._published += count
        watched = {"worker": [self._worker.process.pid], **self._rig.servers}
        with tables.open_database(self._rig.database_url) as database:
            results.add(SECTION, insert_at(rate), self._bare_inserts(database), "ms")
            begins = time.monotonic() + AHEAD_SECONDS
            said = [self._corpus.mixture, self._corpus.seed, start, count, rate, begins]
            argv = [sys.executable, "-m", "bench.paced", self._rig.amqp_url, *map(str, said)]
            with running({"paced": argv}, {}, self._rig.logs) as children:
                ids = [self._corpus.id(number) for number in range(start, start + count)]
                time.sleep(max(0.0, begins - time.monotonic()))
                used, reader = cpu.used(watched), cpu.of(database.info.backend_pid)
                ages = self._ages(database, ids, [begins + place / rate for place in range(count)])
                took, spent = time.monotonic() - begins, cpu.since(used, watched)
                # What the reader's questions cost the database is the measurement's, not the messages'.
                spent["PostgreSQL"] = max(0.0, spent["PostgreSQL"] - cpu.of(database.info.backend_pid) + reader)
                late = float(finished(children, LATE_SECONDS)[0])
        results.add(SECTION, at(rate), count / took, "msg/s", cpu.each(spent, count))
        self._tell(rate, sorted(ages[int(rate * WARM_SECONDS) :]))
        # Part of each age, and ours alone.
        results.add(SECTION, f"{at(rate)}, sent late p99", late * 1000, "ms")

    def _ages(self, database: tables.Connection, ids: Sequence[str], dues: Sequence[float]) -> list[float]:
        """Seconds from when each of these messages was due until its row was seen. Raises ChildFailed."""
        ages = [0.0] * len(dues)
        waiting: dict[str, int] = {}
        known = 0
        while waiting or known < len(dues):
            while known < len(dues) and dues[known] <= time.monotonic():
                waiting[ids[known]] = known
                known += 1
            seen = tables.stored(database, list(islice(waiting, ASKED))) if waiting else set()
            now = time.monotonic()
            for each in seen:
                place = waiting.pop(each)
                ages[place] = now - dues[place]
            self._check(now - dues[next(iter(waiting.values()))] if waiting else 0.0)
            time.sleep(LOOK_SECONDS)
        return ages

    def _check(self, oldest: float) -> None:
        self._worker.check()
        if oldest > LATE_SECONDS:
            raise ChildFailed(f"a message was not stored in {LATE_SECONDS:g} s:\n{self._worker.log_end()}")

    def _bare_inserts(self, database: tables.Connection) -> float:
        """The median, ms."""
        took = []
        for number in range(INSERTS):
            time.sleep(REST_SECONDS)
            took.append(timed_insert(database, self._corpus.row(number)))
        return statistics.median(took) * 1000

    def _tell(self, rate: int, ages: Sequence[float]) -> None:
        for name, share in PERCENTILES:
            age = ages[min(len(ages) - 1, int(len(ages) * share))]
            self._rig.results.add(SECTION, f"{at(rate)} {name}", age * 1000, "ms")

    def verify(self) -> None:
        tables.forget_bare(self._rig.database_url)
        faults = tables.faults(self._rig.database_url, self._corpus, 0, self._published)
        self._rig.results.fault(SECTION, "stored", faults)
