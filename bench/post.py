"""Post: clients that wait for their answer; how many a second, and how long does each wait?"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

from bench import cpu, tables
from bench.children import Child, ChildFailed, finished, running
from bench.contenders import CONTENDERS, OURS, PEERS, environment
from bench.corpus import Corpus
from bench.drain import add_cpu
from bench.load import LENGTH
from bench.rig import Rig
from ingest.soak.ports import free_port

SECTION = "post"
CONSTANT = "constant"
OURS_201 = "ours 201"
OURS_202 = "ours 202"
FASTAPI = "fastapi rpc"
READY_SECONDS = 30.0
PAUSE_SECONDS = 0.02
"""Between two lone requests: long enough for everything to be idle."""


def section(rig: Rig, rounds: int, connections: Sequence[int], seconds: float, lone: int) -> None:
    """Servers side by side, one of our workers behind those that need one; then lone POSTs."""
    tables.empty(rig.database_url)
    rig.gauge.purge()
    with _servers(rig) as (ports, pids):
        posts = Posts(rig, ports, {**rig.servers, **pids})
        for _ in range(rounds):
            for number in connections:
                for name in (CONSTANT, OURS_201, OURS_202, FASTAPI):
                    posts.measure(name, number, seconds)
        for _ in range(rounds):
            posts.measure_lone(lone)
        posts.verify()


class Posts:
    """Counts what has been posted, so that every message is another one and all can be accounted for."""

    def __init__(self, rig: Rig, ports: Mapping[str, int], pids: Mapping[str, Sequence[int]]) -> None:
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
        used = cpu.used(self._pids)
        with running({"client": argv}, {}, self._rig.logs) as children:
            told = json.loads(finished(children, seconds + 60)[0])
        results, label = self._rig.results, f"{name} c{connections}"
        if name == OURS_201:
            add_cpu(self._rig, label, cpu.since(used, self._pids), told["sent"])
        wanted = "202" if name == OURS_202 else "201"
        others = {status: number for status, number in told["statuses"].items() if status != wanted}
        if others or told["lost"]:
            results.fault(SECTION, label, [f"answers {others}, {told['lost']} lost of {told['sent']}"])
        if name != CONSTANT:
            self._posted += told["sent"]
            self._settle(label)
        results.add(SECTION, label, told["rate"], "req/s")
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
                    inserts.append(_insert(database, self._corpus.row(self._posted)))
        self._rig.results.add("lone", "POST", statistics.median(posts) * 1000, "ms")
        self._rig.results.add("lone", "INSERT", statistics.median(inserts) * 1000, "ms")

    def verify(self) -> None:
        """Every posted message is a row with the content sent, and nothing else is."""
        with tables.open_database(self._rig.database_url) as database:
            database.execute("DELETE FROM actions WHERE message_version = 'bare'")
        faults = tables.faults(self._rig.database_url, self._corpus, 0, self._posted)
        self._rig.results.fault(SECTION, "stored", faults)


@contextlib.contextmanager
def _servers(rig: Rig) -> Iterator[tuple[dict[str, int], dict[str, list[int]]]]:
    """The ports by contender; the pids of our two processes by name."""
    python = str(rig.home / "venv" / "bin" / "python")
    ports = {name: free_port() for name in (CONSTANT, OURS_201, FASTAPI)}
    ports[OURS_202] = ports[OURS_201]
    commands = {
        CONSTANT: [python, str(PEERS / "constant.py"), str(ports[CONSTANT])],
        OURS: [sys.executable, "-m", "ingest", "serve", "--listen", f"127.0.0.1:{ports[OURS_201]}"],
        FASTAPI: [python, str(PEERS / "fastapi_rpc.py"), str(ports[FASTAPI])],
        **CONTENDERS[OURS].commands(rig.home, 1, 0),
    }
    env = environment(rig.home, rig.amqp_url, rig.database_url)
    with running(commands, env, rig.logs) as children:
        corpus = Corpus("http", seed=2)
        numbers = count()
        for name in (CONSTANT, OURS_201, FASTAPI):
            await_created(ports[name], lambda: corpus.message(next(numbers)), children)
        tables.empty(rig.database_url)
        pids = {child.name: child.process.pid for child in children}
        yield ports, {"shim": [pids[OURS]], "worker": [pids[f"{OURS} 0"]]}


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


_BARE = ", ".join(["gen_random_uuid()", *["%s"] * 15, "'bare'", "%s"])


def _insert(database: tables.Connection, row: Sequence[str | None]) -> float:
    values = [*row[1:16], row[17]]
    began = time.perf_counter()
    database.execute(f"INSERT INTO actions ({', '.join(tables.NAMES)}) VALUES ({_BARE})".encode(), values)
    return time.perf_counter() - began
