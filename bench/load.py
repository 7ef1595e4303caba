"""An HTTP client that keeps N connections busy with POSTs, and tells rate, latencies and statuses as JSON."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator

import uvloop

from bench.corpus import BLOCK, Corpus

WARM_SECONDS = 0.3
"""Left out of rate and latencies, not out of what must be stored."""
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next; until the time is up."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(self._buffer, 0, head)
        if len(self._buffer) < head + 4 + (int(length[1]) if length else 0):
            return
        self._run.answered(int(self._buffer[9:12]), self._sent_at)
        self._buffer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._run.lost += 1
            self.done.set_result(None)

    def _next(self) -> None:
        request = next(self._run.requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]


class Run:
    """What the connections of one run share."""

    def __init__(self, corpus: Corpus, start: int, seconds: float, prefer: str) -> None:
        self.requests = self._requests(corpus, start, prefer)
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.lost = 0
        self.sent = 0
        self._seconds = seconds

    def answered(self, status: int, sent_at: float) -> None:
        now = time.perf_counter()
        self.statuses[status] += 1
        if self.warm <= sent_at and now <= self.ends:
            self.latencies.append(now - sent_at)

    def begin(self) -> None:
        self.warm = time.perf_counter() + WARM_SECONDS
        self.ends = self.warm + self._seconds

    def _requests(self, corpus: Corpus, start: int, prefer: str) -> Iterator[bytes]:
        head = b"POST /messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += f"Prefer: {prefer}\r\n".encode() if prefer else b""
        while time.perf_counter() < self.ends:
            body = corpus.message(start + self.sent)
            self.sent += 1
            yield head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def load(port: int, connections: int, run: Run) -> None:
    loop = asyncio.get_running_loop()
    run.begin()
    opened = [(await loop.create_connection(lambda: Connection(run), "127.0.0.1", port))[1] for _ in range(connections)]
    async with asyncio.timeout(run.ends - time.perf_counter() + 30):
        await asyncio.gather(*(each.done for each in opened))


def main(port: int, connections: int, seconds: float, seed: int, start: int, prefer: str) -> None:
    corpus = Corpus("http", seed)
    for number in range(start, start + 50 * BLOCK, BLOCK):
        corpus.message(number)
    run = Run(corpus, start, seconds, prefer)
    uvloop.run(load(port, connections, run))
    times = sorted(run.latencies)
    told = {
        "sent": run.sent,
        "lost": run.lost,
        "statuses": run.statuses,
        "rate": len(times) / seconds,
        "p50": times[len(times) // 2] * 1000 if times else None,
        "p99": times[len(times) * 99 // 100] * 1000 if times else None,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    _, port, connections, seconds, seed, start, *prefer = sys.argv
    main(int(port), int(connections), float(seconds), int(seed), int(start), "".join(prefer))
