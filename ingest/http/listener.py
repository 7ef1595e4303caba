"""Accepts connections, counts them from their first moment, TLS or not, and gives each one its place, clock and end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from starlette.types import ASGIApp, Message

from ingest.http.connection import ClientConnection
from ingest.http.limits import SPARE_FILES, Limits, open_files
from ingest.http.service import ConnectionState, Service
from schemas.address import parse
from schemas.settings import ConfigError

_BACKLOG: Final = 2048
_TICKS: Final = 4
"""How often in each bound the clock looks."""
_ACCEPT_PAUSE_SECONDS: Final = 0.05


class Listener:
    """One listening socket. The application's own start and end are its caller's."""

    def __init__(self, service: Service, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._service = service
        self._socket = sock
        self._tls = tls
        self._admitted: set[asyncio.Task[None]] = set()
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._log = structlog.get_logger("ingest.http")

    @asynccontextmanager
    async def open(self, drain_seconds: float) -> AsyncIterator[None]:
        """Serve while the block runs; then take no more, and answer what was asked within `drain_seconds`."""
        limits = self._service.limits
        open_files(limits)
        self._socket.setblocking(False)
        tasks = [asyncio.create_task(self._accept()), asyncio.create_task(self._clock(limits))]
        try:
            yield
        finally:
            tasks[0].cancel()
            self._socket.close()
            await self._drain(drain_seconds)
            tasks[1].cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._socket)
            except OSError as error:
                # No more files, or a client that left at once: the next one may fare better.
                self._log.warning("accept_failed", error=str(error))
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        taken, most = self._taken(), self._service.limits.connections
        if taken >= most and self._make_room():
            taken -= 1
        if taken >= most + SPARE_FILES // 2:
            # Not even a place to say so.
            sock.close()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(self._connect(sock, full=taken >= most))
        self._admitted.add(task)
        task.add_done_callback(self._admitted.discard)
        if self._tls is not None:
            self._handshakes[task] = None
            task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _connect(self, sock: socket.socket, full: bool) -> None:
        loop = asyncio.get_running_loop()
        timeout = None if self._tls is None else self._service.limits.seconds
        try:
            await loop.connect_accepted_socket(
                lambda: ClientConnection(self._service, full), sock, ssl=self._tls, ssl_handshake_timeout=timeout
            )
        except (OSError, asyncio.CancelledError) as error:
            # Whoever does not get through the handshake has asked nothing.
            self._log.debug("handshake_failed", error=str(error))
            sock.close()

    def _taken(self) -> int:
        return len(self._service.connections) + len(self._handshakes)

    def _make_room(self) -> bool:
        """Let go of who has been silent longest; whoever has asked something keeps his place."""
        for task in self._handshakes:
            del self._handshakes[task]
            task.cancel()
            return True
        for each in self._service.connections:
            if each.state is ConnectionState.SILENT:
                self._service.connections.pop(each)
                each.shutdown()
                return True
        return False

    async def _clock(self, limits: Limits) -> None:
        while True:
            await asyncio.sleep(min(1.0, limits.seconds / _TICKS))
            self._service.tick()

    async def _drain(self, seconds: float) -> None:
        service = self._service
        service.stopping = True
        for task in list(self._handshakes):
            task.cancel()
        for each in list(service.connections):
            each.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while service.connections:
                    await asyncio.sleep(0.02)
        for task in list(service.tasks):
            task.cancel()
        if service.tasks:
            self._log.error("not_finished", requests=len(service.tasks), remedy="INGEST_DRAIN_SECONDS is too short")
            await asyncio.wait(list(service.tasks), timeout=1.0)


def listen(address: str, variable: str = "INGEST_LISTEN") -> socket.socket:
    """A socket that listens at HOST:PORT. Raises ConfigError, by its variable's name, where that can't be."""
    try:
        host, port = parse(address)
    except ValueError as error:
        raise ConfigError([f"{variable}: {error}"]) from None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError([f"{variable}: {address}: {error.strerror or error}"]) from error


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """ASGI's lifespan around the block. Raises what the application says of a start that failed."""
    said: asyncio.Queue[str] = asyncio.Queue()
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def receive() -> Message:
        return {"type": await asked.get()}

    async def send(event: Message) -> None:
        said.put_nowait(event["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}

    async def run() -> None:
        await app(scope, receive, send)

    task = asyncio.create_task(run())
    asked.put_nowait("lifespan.startup")
    if await said.get() != "lifespan.startup.complete":
        await task
        raise RuntimeError("the application did not start")
    try:
        yield
    finally:
        asked.put_nowait("lifespan.shutdown")
        await task
