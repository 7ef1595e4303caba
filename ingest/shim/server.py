"""The composition root of `serve`: one shim process, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog
import uvicorn
import uvloop

from consumers.errors import Misconfigured
from consumers.runtime.long_life import collect_rarely
from consumers.runtime.systemd import Notifier
from consumers.runtime.urls import Urls
from ingest.access.gate import Gate
from ingest.http.limits import bounded
from ingest.publisher.connection import hosts
from ingest.publisher.publisher import Publisher
from ingest.shim import app
from ingest.shim.acknowledged import Acknowledged
from ingest.shim.metrics import ShimMetrics
from ingest.shim.reads import Reads
from ingest.telemetry import logs
from ingest.telemetry.tracing import ShimTracing, tracer_provider
from schemas.address import Address, parse
from schemas.settings import ConfigError, Settings

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep theirs, so that they don't write into a connection we are closing."""

_RETRY_SECONDS = 2.0
"""How often the gate's files are tried again while they can't be used."""


def serve(settings: Settings, reread: Callable[[], Settings] | None = None) -> int:
    """Serve HTTP until SIGTERM or SIGINT, finish what is under way, and return 0; SIGHUP reloads the gate.

    `reread` reads the configuration anew, should a URL of it lead nowhere.
    Raises ConfigError or Misconfigured for settings that can't be used, an address already taken included.
    """
    if not structlog.is_configured():
        logs.configure(settings)
    urls = Urls(settings, reread)
    brokers = _brokers(settings, urls)
    gate = Gate.from_settings(settings)
    gate.warn(settings)
    listener = _listen(settings.listen)
    scheme = "http" if gate.tls is None else "https"
    url = f"{scheme}://{Address(*listener.getsockname()[:2])}"
    structlog.get_logger("ingest.shim.server").info("listening", url=url)
    with contextlib.closing(listener):
        uvloop.run(_serve(settings, urls, brokers, listener, gate))
    structlog.get_logger("ingest.shim.server").info("stopped", url=url)
    return 0


def _brokers(settings: Settings, urls: Urls) -> Callable[[], list[Any]]:
    """The broker's hosts as they are now; those we had, where the URL can't be used. Raises Misconfigured."""
    found = hosts(urls.known("amqp_url"), heartbeat=settings.heartbeat_seconds)

    def now() -> list[Any]:
        nonlocal found
        with contextlib.suppress(Misconfigured):
            found = hosts(urls.now("amqp_url"), heartbeat=settings.heartbeat_seconds)
        return found

    return now


async def _serve(
    settings: Settings, urls: Urls, brokers: Callable[[], list[Any]], listener: socket.socket, gate: Gate
) -> None:
    metrics = ShimMetrics(version("chef-ingest"))
    provider = tracer_provider(os.environ, "chef-ingest-shim", version("chef-ingest"))
    tracing = None if provider is None else ShimTracing(provider)
    acknowledged = Acknowledged(lambda: urls.now("database_url"))

    def published(result: str, seconds: float) -> None:
        metrics.published(result, seconds)
        acknowledged.count(result)

    publisher = Publisher(
        brokers,
        confirm_seconds=settings.confirm_timeout_seconds,
        max_outstanding=settings.max_outstanding,
        observe=published,
    )
    config = uvicorn.Config(
        app.build(settings, publisher, Reads(lambda: urls.now("database_url")), gate, metrics, tracing),
        http=bounded(settings),
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
    )
    config.load()
    config.ssl = None if gate.tls is None else gate.tls.context
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gate.reload)
    collect_rarely()
    async with acknowledged.kept(), notifying(Notifier(os.environ), gate):
        await _Server(config).serve(sockets=[listener])


@asynccontextmanager
async def notifying(notifier: Notifier, gate: Gate) -> AsyncIterator[None]:
    """systemd hears of our start, life and stop; the gate tries again what it could not read."""

    async def feed() -> None:
        while True:
            gate.retry()
            notifier.alive(f"not reloaded: {', '.join(gate.faults)}; the log says why" if gate.faults else "listening")
            await asyncio.sleep(min(_RETRY_SECONDS, max(1.0, notifier.watchdog_seconds / 4)))

    notifier.ready("listening")
    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        notifier.stopping()


class _Server(uvicorn.Server):
    """Stops on a signal and returns; uvicorn's own would raise the signal once more and so never exit 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _listen(address: str) -> socket.socket:
    try:
        host, port = parse(address)
    except ValueError as error:
        raise ConfigError([f"INGEST_LISTEN: {error}"]) from None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError([f"INGEST_LISTEN: {address}: {error.strerror or error}"]) from error
