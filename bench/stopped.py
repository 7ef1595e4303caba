"""Stopped: the broker, or the database, stands still; how long does a Chef server wait that tells an action?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import Final

import uvloop

from bench import cpu, tables
from bench.children import running
from bench.contenders import CONTENDERS, OURS, environment
from bench.corpus import Corpus
from bench.load import LENGTH
from bench.ports import free_port
from bench.post import await_created
from bench.rig import Rig

SECTION: Final = "stopped"
CONNECTIONS: Final = 50
"""A Chef server keeps a pool of 25 to 100 connections to a data collector [data-collector.md 1.1]."""
PAUSE_SECONDS: Final = 0.02
"""Between two GETs."""
SETTLE_SECONDS: Final = 60.0
_PATH: Final = b"/data-collector/v0/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_GET: Final = b"GET " + _PATH + b"\r\n"


def section(rig: Rig, number: int) -> None:
    """So many actions while each of the two is stopped; once it goes on again all of them must be rows."""
    state, port = rig.home / "state", free_port()
    shutil.rmtree(state, ignore_errors=True)
    tables.empty(rig.database_url)
    rig.gauge.purge()
    commands = {
        "shim": [sys.executable, "-m", "ingest", "serve", "--listen", f"127.0.0.1:{port}"],
        **CONTENDERS[OURS].commands(rig.home, 1, 0),
    }
    env = environment(rig.home, rig.amqp_url, rig.database_url) | {"INGEST_STATE": str(state)}
    first = count()
    with running(commands, env, rig.logs) as children:
        await_created(port, lambda: Corpus("http", seed=2).message(next(first)), children)
        tables.empty(rig.database_url)
        stopping = Stopping(rig, port, number)
        for server in ("PostgreSQL", "RabbitMQ"):
            rig.measured(partial(stopping.measure, server))
    stopping.verify()


class Stopping:
    """Counts what has been told, so that every action is another one."""

    def __init__(self, rig: Rig, port: int, number: int) -> None:
        self._rig = rig
        self._port = port
        self._number = number
        self._corpus = Corpus("http", seed=3)
        self._told = 0

    def measure(self, server: str) -> None:
        """So many actions while it stands still; returns when it has gone on and they are stored."""
        bodies = [self._corpus.message(each) for each in range(self._told, self._told + self._number)]
        self._told += self._number
        with _standing(self._rig.servers[server]):
            load = Load(self._port, bodies)
            uvloop.run(load.run())
        _tell(self._rig, server, load)
        _settle(self._rig, self._told)

    def verify(self) -> None:
        faults = tables.faults(self._rig.database_url, self._corpus, 0, self._told)
        self._rig.results.fault(SECTION, "stored", faults)


@contextlib.contextmanager
def _standing(pids: Sequence[int]) -> Iterator[None]:
    """A server and all its processes get no processor for the length of a `with`."""
    family: list[int] = []
    try:
        # Each is stopped before its children are looked for, so that it starts no more of them.
        for each in (each for pid in pids for each in cpu.family(pid)):
            family.append(each)
            _signal(each, signal.SIGSTOP)
        yield
    finally:
        for each in family:
            _signal(each, signal.SIGCONT)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Load:
    """The actions, over as many connections as a Chef server has, and a GET every now and then; seconds of each."""

    def __init__(self, port: int, bodies: Sequence[bytes]) -> None:
        self._port = port
        self._bodies = iter(bodies)
        self.statuses: Counter[int] = Counter()
        self.posts: list[float] = []
        self.gets: list[float] = []

    async def run(self) -> None:
        asking = asyncio.create_task(self._ask())
        await asyncio.gather(*(self._post() for _ in range(CONNECTIONS)))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def _post(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for body in self._bodies:
            head = b"POST " + _PATH + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            status, took = await _exchange(reader, writer, head + body)
            self.statuses[status] += 1
            self.posts.append(took)
        writer.close()

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while True:
            status, took = await _exchange(reader, writer, _GET)
            if status != 200:
                self.statuses[status] += 1
            self.gets.append(took)
            await asyncio.sleep(PAUSE_SECONDS)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, float]:
    """Status of the answer, and seconds until all of it was there."""
    began = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if length := LENGTH.search(head):
        await reader.readexactly(int(length[1]))
    return int(head[9:12]), time.perf_counter() - began


def _tell(rig: Rig, server: str, load: Load) -> None:
    if others := {status: number for status, number in load.statuses.items() if status != 202}:
        rig.results.fault(SECTION, server, [f"answers {others} of {sum(load.statuses.values())}"])
    for what, times in (("POST", load.posts), ("GET", load.gets)):
        for percentile, share in (("p50", 0.5), ("p99.9", 0.999)):
            at = min(len(times) - 1, int(len(times) * share))
            rig.results.add(SECTION, f"{server}: {what} {percentile}", sorted(times)[at] * 1000, "ms")


def _settle(rig: Rig, wanted: int) -> None:
    """What was answered 202 is to be stored before the next one stops; too few rows are told at the end."""
    deadline = time.monotonic() + SETTLE_SECONDS
    with tables.open_database(rig.database_url) as database:
        while tables.count_ids(database) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
