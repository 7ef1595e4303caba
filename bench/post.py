"""Post: clients that wait for their answer; how many a second, and how long does each wait?"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count

from bench import cpu, tables
from bench.children import Child, ChildFailed, finished, running
from bench.contenders import CONTENDERS, OURS, PEERS, environment
from bench.corpus import Corpus
from bench.load import LENGTH
from bench.ports import free_port
from bench.rig import Rig

SECTION = "post"
CONSTANT = "constant"
OURS_201 = "ours 201"
OURS_202 = "ours 202"
FASTAPI = "fastapi rpc"
FLOOR = "floor"
CONTENDING = (CONSTANT, OURS_201, OURS_202, FLOOR, FASTAPI)
"""The floor is the least that a shim in Python can do with the same worker behind it."""
READY_SECONDS = 30.0
PAUSE_SECONDS = 0.02
"""Between two lone requests: long enough for everything to be idle."""


def section(rig: Rig, rounds: int, connections: Sequence[int], seconds: float, lone: int) -> None:
    """Servers side by side, one of our workers behind those that need one; then lone POSTs."""
    tables.empty(rig.database_url)
    rig.gauge.purge()
    with _servers(rig) as (ports, pids):
        posts = Posts(rig, ports, pids)
        for _ in range(rounds):
            for number in connections:
                for name in CONTENDING:
                    rig.measured(partial(posts.measure, name, number, seconds))
        for _ in range(rounds):
            rig.measured(partial(posts.measure_lone, lone))
        posts.verify()


class Posts:
    """Counts what has been posted, so that every message is another one and all can be accounted for."""

    def __init__(self, rig: Rig, ports: Mapping[str, int], pids: Mapping[str, int]) -> None:
        self._rig = rig
        self._ports = ports
        self._pids = pids
        self._corpus = Corpus("http")
        self._posted = 0

    def measure(self, name: str, connections: int, seconds: float) -> None:
        """One run of the client; every POST must have been answered as it should."""
        prefer = ["respond-async"] if name == OURS_202 else []
        said = [self._ports[name], connections, seconds, self._corpus.seed, self._posted]
        argv = [sys.executable, "-m", "bench.load", *map(str, said), *prefer]
        watched: dict[str, Sequence[int]] = {"shim": [self._pids[name]]}
        if name != CONSTANT:
            watched |= {"worker": [self._pids["worker"]], **self._rig.servers}
        used = cpu.used(watched)
        with running({"client": argv}, {}, self._rig.logs) as children:
            told = json.loads(finished(children, seconds + 60)[0])
        results, label = self._rig.results, f"{name} c{connections}"
        each = cpu.each(cpu.since(used, watched), told["sent"])
        wanted = "202" if name == OURS_202 else "201"
        others = {status: number for status, number in told["statuses"].items() if status != wanted}
        if others or told["lost"]:
            results.fault(SECTION, label, [f"answers {others}, {told['lost']} lost of {told['sent']}"])
        if name != CONSTANT:
            self._posted += told["sent"]
            self._settle(label)
        results.add(SECTION, label, told["rate"], "req/s", each)
        for percentile in ("p50", "p99"):
            results.add(percentile, label, told[percentile] or 0.0, "ms")

    def _settle(self, label: str) -> None:
        """What was answered 202 is to be stored before the next run begins."""
        deadline = time.monotonic() + 60
        with tables.open_database(self._rig.database_url) as database:
            while tables.count_ids(database) < self._posted and time.monotonic() < deadline:
                time.sleep(0.05)
            found = tables.count_ids(database)
        if found != self._posted:
            self._rig.results.fault(SECTION, label, [f"{found} rows of {self._posted} posted"])

    def measure_lone(self, number: int) -> None:
        """A POST and a bare INSERT in turn, everything idle between them; the medians."""
        posts, inserts = [], []
        with socket.create_connection(("127.0.0.1", self._ports[OURS_201])) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with tables.open_database(self._rig.database_url) as database:
                for _ in range(number):
                    time.sleep(PAUSE_SECONDS)
                    posts.append(_post(client, self._corpus.message(self._posted)))
                    self._posted += 1
                    time.sleep(PAUSE_SECONDS)
                    inserts.append(timed_insert(database, self._corpus.row(self._posted)))
        self._rig.results.add("lone", "POST", statistics.median(posts) * 1000, "ms")
        self._rig.results.add("lone", "INSERT", statistics.median(inserts) * 1000, "ms")

    def verify(self) -> None:
        """Every posted message is a row with the content sent, and nothing else is."""
        tables.forget_bare(self._rig.database_url)
        faults = tables.faults(self._rig.database_url, self._corpus, 0, self._posted)
        self._rig.results.fault(SECTION, "stored", faults)


@contextlib.contextmanager
def _servers(rig: Rig) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Ports and pids by contender; the worker's pid too."""
    python = str(rig.home / "venv" / "bin" / "python")
    peers = {CONSTANT: "constant.py", FLOOR: "floor.py", FASTAPI: "fastapi_rpc.py"}
    ports = {name: free_port() for name in (OURS_201, *peers)}
    commands = {
        OURS_201: [sys.executable, "-m", "ingest", "serve", "--listen", f"127.0.0.1:{ports[OURS_201]}"],
        **{name: [python, str(PEERS / file), str(ports[name])] for name, file in peers.items()},
        **CONTENDERS[OURS].commands(rig.home, 1, 0),
    }
    env = environment(rig.home, rig.amqp_url, rig.database_url)
    with running(commands, env, rig.logs) as children:
        corpus = Corpus("http", seed=2)
        numbers = count()
        for port in ports.values():
            await_created(port, lambda: corpus.message(next(numbers)), children)
        tables.empty(rig.database_url)
        pids = {child.name: child.process.pid for child in children}
        pids |= {OURS_202: pids[OURS_201], "worker": pids[f"{OURS} 0"]}
        yield {**ports, OURS_202: ports[OURS_201]}, pids


def await_created(port: int, body: Callable[[], bytes], children: Sequence[Child]) -> None:
    """Until a POST is answered 201."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        for child in children:
            child.check()
        with contextlib.suppress(OSError, ChildFailed):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                _post(client, body())
            return
        if time.monotonic() > deadline:
            ends = "\n".join(f"{child.name}:\n{child.log_end()}" for child in children)
            raise ChildFailed(f"port {port} did not answer 201 in {READY_SECONDS:g} s\n{ends}")
        time.sleep(0.1)


def _post(client: socket.socket, body: bytes) -> float:
    request = b"POST /messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    began = time.perf_counter()
    client.sendall(request)
    answer = _answer(client)
    took = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 201 "):
        raise ChildFailed(f"not answered 201: {answer[:300]!r}")
    return took


def _answer(client: socket.socket) -> bytes:
    """Head and body, which may come apart."""
    answer = b""
    while True:
        received = client.recv(65536)
        answer += received
        head = answer.find(b"\r\n\r\n")
        length = LENGTH.search(answer, 0, head) if head > 0 else None
        if not received or (length and len(answer) >= head + 4 + int(length[1])):
            return answer


def timed_insert(database: tables.Connection, row: Sequence[str | None]) -> float:
    """Seconds that a bare INSERT and its commit take."""
    began = time.perf_counter()
    tables.insert_bare(database, row)
    return time.perf_counter() - began
