"""A TCP proxy that spoils connections: latency, trickle, slices, cuts, byte limits, black holes, half-open peers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Toxics:
    """What happens to the bytes, either way.

    `latency` seconds each chunk is late; `rate` bytes a second at most (0: no limit); `slice` bytes handed on
    at a time (0: as they come); `black_hole`: nothing gets through, and nobody hears of it, until it is healed;
    `refuse`: new connections are reset; `slow_close` seconds before one end's close reaches the other.
    """

    latency: float = 0.0
    rate: int = 0
    slice: int = 0
    black_hole: bool = False
    refuse: bool = False
    slow_close: float = 0.0


class Proxy:
    """Listens on a loopback port of its own and passes everything to 127.0.0.1:`target`; use as a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._toxics = Toxics()
        self._pairs: set[_Pair] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"proxy {self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.set()
        self.cut()
        deadline = time.monotonic() + 2
        while self._pairs and time.monotonic() < deadline:
            time.sleep(0.02)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._listener.close()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._pairs)

    def set(self, **toxics: Any) -> None:
        """From now on these toxics and no others; `set()` heals what is still connected."""
        self._call(lambda: setattr(self, "_toxics", replace(Toxics(), **toxics)))

    def cut(self, *, after_bytes: int = 0) -> None:
        """Reset every connection: now, or each as soon as it has passed so many more bytes to the client."""

        def cut() -> None:
            for pair in list(self._pairs):
                pair.cut_after(after_bytes)

        self._call(cut)

    def freeze(self) -> None:
        """Half-open for ever: today's connections never pass another byte, nor end; new ones are well."""

        def freeze() -> None:
            for pair in self._pairs:
                pair.frozen = True

        self._call(freeze)

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._accepted, sock=self._listener, limit=_CHUNK))
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._toxics.refuse:
            _reset(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target, limit=_CHUNK)
        except OSError:
            _reset(writer)
            return
        pair = _Pair((reader, writer), upstream, lambda: self._toxics)
        self._pairs.add(pair)
        try:
            await pair.run()
        finally:
            self._pairs.discard(pair)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Pair:
    """One proxied connection."""

    def __init__(self, client: Streams, server: Streams, toxics: Callable[[], Toxics]) -> None:
        self._client, self._server, self._toxics = client, server, toxics
        self._left: int | None = None
        self.frozen = False

    async def run(self) -> None:
        ways = [
            asyncio.ensure_future(self._pump(self._client[0], self._server[1], to_client=False)),
            asyncio.ensure_future(self._pump(self._server[0], self._client[1], to_client=True)),
        ]
        try:
            await asyncio.wait(ways)
        finally:
            for way in ways:
                way.cancel()
            self.cut()

    def cut_after(self, count: int) -> None:
        if count:
            self._left = count
        else:
            self.cut()

    def cut(self) -> None:
        self.frozen = False
        for _, writer in (self._client, self._server):
            _reset(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool) -> None:
        try:
            while chunk := await reader.read(_CHUNK):
                while self._toxics().black_hole:
                    await asyncio.sleep(0.05)
                if self.frozen:
                    continue
                if to_client and self._left is not None:
                    chunk, self._left = chunk[: self._left], self._left - len(chunk)
                await self._pass_on(chunk, writer)
                if self._left is not None and self._left <= 0:
                    self.cut()
                    return
            while self.frozen:
                await asyncio.sleep(0.2)
            await asyncio.sleep(self._toxics().slow_close)
            writer.close()
        except OSError:
            # One end was reset: so is the other.
            self.cut()

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        toxics = self._toxics()
        if toxics.latency:
            await asyncio.sleep(toxics.latency)
        step = toxics.slice or (max(1, toxics.rate // 20) if toxics.rate else len(chunk))
        for start in range(0, len(chunk), step):
            piece = chunk[start : start + step]
            writer.write(piece)
            await writer.drain()
            if toxics.rate:
                await asyncio.sleep(len(piece) / toxics.rate)
            elif toxics.slice:
                await asyncio.sleep(0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: SO_LINGER of zero seconds [socket(7)]."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
