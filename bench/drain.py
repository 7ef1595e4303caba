"""Drain: messages wait in the queue; how fast are they all committed and acked?"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench import broker, cpu, decode, tables
from bench.children import Child, ChildFailed, finished, running
from bench.contenders import CONTENDERS, NOTHING, OURS, PEERS, Contender, environment
from bench.corpus import Corpus
from bench.publish import CELERY_QUEUE
from bench.rig import Rig

SECTION = "drain"
COPY = "COPY only"
DECODE = "decode only"
COUNTABLE = 2_000_000
"""Rows that are counted in no time."""
STALL_SECONDS = 60.0
"""A contender that commits nothing for so long has failed."""
ACK_SECONDS = 0.5
"""For the acks of the last batch, which follow its commit: not all of them acknowledge what they are stopped over."""

LINE_UP: Sequence[tuple[str, int]] = (
    (OURS, 1), ("naive", 1), ("celery", 1), ("faststream", 1), ("aio-pika+asyncpg", 1),
    (NOTHING, 1), (COPY, 1), (DECODE, 1), (OURS, 2), ("node", 2), (COPY, 2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drained:
    """Seconds from the first delivery to the last commit, starting up left out; meanwhile: the peak memory of the
    largest process, seconds of processor time by who used it, bytes written to the WAL."""

    seconds: float
    cpu: Mapping[str, float]
    peak_mb: float = 0.0
    wal: int = 0


def section(rig: Rig, rounds: int, count: int, line_up: Sequence[tuple[str, int]]) -> None:
    """Every contender in turn, again and again, on the same messages."""
    corpus = Corpus("mix")
    for _ in range(rounds):
        for name, processes in line_up:
            rig.measured(partial(_turn, rig, corpus, count, name, processes))


def _turn(rig: Rig, corpus: Corpus, count: int, name: str, processes: int) -> None:
    number = int(count * CONTENDERS[name].share) if name in CONTENDERS else count
    if name == DECODE:
        seconds = decode.seconds(corpus, number)
        drained = Drained(seconds, {"worker": seconds})
    elif name == COPY:
        drained = copy_only(rig, corpus, number, processes)
    else:
        drained = measure(rig, CONTENDERS[name], corpus, 0, number, processes)
    label = f"{name} x{processes}"
    rig.results.add(SECTION, label, number / drained.seconds, "msg/s", cpu.each(drained.cpu, number))
    if drained.peak_mb:
        rig.results.add("peak", label, drained.peak_mb, "MB")
    if name not in (NOTHING, DECODE):
        rig.results.fault(SECTION, label, tables.faults(rig.database_url, corpus, 0, number))


def measure(rig: Rig, contender: Contender, corpus: Corpus, start: int, count: int, processes: int = 1) -> Drained:
    """Fill the queue, let the contender empty it into clean tables. Raises ChildFailed."""
    tables.empty(rig.database_url)
    return drain(rig, rig.database_url, contender, corpus, start, count, processes)


def drain(
    rig: Rig, database_url: str, contender: Contender, corpus: Corpus, start: int, count: int, processes: int
) -> Drained:
    """The same, into the tables as they are."""
    rig.gauge.purge()
    broker.fill(rig.amqp_url, corpus, start, count, rig.logs, celery=contender.queue == CELERY_QUEUE)
    commands = contender.commands(rig.home, processes, count)
    env = environment(rig.home, rig.amqp_url, database_url, contender.queue)
    with tables.open_database(database_url) as database:
        used = cpu.used(rig.servers)
        with running(commands, env, rig.logs) as children:
            if contender.name == NOTHING:
                return _self_reported(rig, children, used)
            drained = _watch(
                rig, contender.queue, children, count, database, _committed(database, corpus, start, count)
            )
            time.sleep(ACK_SECONDS)
    left = rig.gauge.ready(contender.queue)
    if left:
        rig.results.fault(SECTION, contender.name, [f"{left} messages were not acked"])
    return drained


def copy_only(rig: Rig, corpus: Corpus, count: int, processes: int) -> Drained:
    """From the first process's beginning to the last one's end; all begin at the same word."""
    tables.empty(rig.database_url)
    share = -(-count // processes)
    commands = {}
    for index in range(processes):
        first = index * share
        said = [corpus.mixture, corpus.seed, first, min(share, count - first)]
        commands[f"copy {index}"] = [sys.executable, str(PEERS / "copy_only.py"), *map(str, said)]
    with running(commands, environment(rig.home, rig.amqp_url, rig.database_url), rig.logs) as children:
        for child in children:
            if child.process.stdout is None or child.process.stdout.readline() != "ready\n":
                raise ChildFailed(f"{child.name} did not get ready:\n{child.log_end()}")
        used = cpu.used(rig.servers)
        for child in children:
            assert child.process.stdin is not None
            child.process.stdin.write("go\n")
            child.process.stdin.flush()
        return _self_reported(rig, children, used)


def _self_reported(rig: Rig, children: Sequence[Child], used: Mapping[str, float]) -> Drained:
    """What limits say of themselves, and what the servers have used since."""
    told = [json.loads(text) for text in finished(children, 600)]
    seconds = max(each["ended"] for each in told) - min(each["began"] for each in told)
    return Drained(seconds, {"worker": sum(each["cpu"] for each in told), **cpu.since(used, rig.servers)})


def _committed(database: tables.Connection, corpus: Corpus, start: int, count: int) -> Callable[[], bool]:
    """Asks, at little cost to who is measured, whether all of the messages are stored."""
    newest = [corpus.id(number) for number in range(start + max(0, count - 100), start + count)]
    before = tables.count_ids(database)

    def stored() -> bool:
        if tables.missing(database, newest[-1:]) or tables.missing(database, newest):
            return False
        # A long table is not counted: one process (growth has no more) commits in order, and the stored rows
        # are compared with what was sent afterwards.
        return before > COUNTABLE or tables.count_ids(database) == before + count

    return stored


def _watch(
    rig: Rig,
    queue: str,
    children: Sequence[Child],
    count: int,
    database: tables.Connection,
    committed: Callable[[], bool],
) -> Drained:
    """Raises ChildFailed when a child ends, or nothing moves for too long."""

    def until(done: Callable[[], bool], pause: float) -> None:
        deadline = time.monotonic() + STALL_SECONDS
        left = count + 1
        while not done():
            ready = rig.gauge.ready(queue)
            if ready < left:
                left, deadline = ready, time.monotonic() + STALL_SECONDS
            for child in children:
                child.check()
            if time.monotonic() > deadline:
                ends = "\n".join(f"{child.name}:\n{child.log_end()}" for child in children)
                raise ChildFailed(f"nothing happened for {STALL_SECONDS:g} s, {ready} messages wait\n{ends}")
            time.sleep(pause)

    until(lambda: rig.gauge.ready(queue) < count, 0.003)
    watched = {"worker": [child.process.pid for child in children], **rig.servers}
    used, wal = cpu.used(watched), tables.wal_written(database)
    began = time.monotonic()
    until(lambda: rig.gauge.ready(queue) == 0, 0.01)
    until(committed, 0.003)
    seconds = time.monotonic() - began
    peak = max(child.peak_mb() for child in children)
    return Drained(seconds, cpu.since(used, watched), peak, tables.wal_written(database) - wal)
