"""The composition root of `serve`: one shim process, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog
import uvloop

from consumers.errors import Misconfigured
from consumers.runtime.failpoints import from_environment
from consumers.runtime.long_life import collect_rarely
from consumers.runtime.signals import heed_in
from consumers.runtime.systemd import Notifier
from consumers.runtime.urls import Urls
from ingest.access.gate import Gate
from ingest.http.answers import Answer
from ingest.http.limits import Limits
from ingest.http.listener import Listener, lifespan, listen
from ingest.http.service import Service
from ingest.publisher.connection import hosts
from ingest.publisher.publisher import Publisher
from ingest.reads.routes import Reads
from ingest.shim import app
from ingest.shim.acknowledged import Acknowledged
from ingest.shim.metrics import ShimMetrics
from ingest.spool.contents import Contents
from ingest.spool.drainer import Drainer
from ingest.spool.place import place
from ingest.spool.spool import DISK_SECONDS, Spool
from ingest.telemetry import logs
from ingest.telemetry.tracing import ShimTracing, tracer_provider
from schemas.address import Address
from schemas.settings import Settings

_RETRY_SECONDS = 2.0
"""How often the gate's files are tried again while they can't be used."""


def serve(
    settings: Settings, reread: Callable[[], Settings] | None = None, listener: socket.socket | None = None
) -> int:
    """Serve HTTP until SIGTERM or SIGINT, finish what is under way, and return 0; SIGHUP reloads the gate.

    `reread` reads the configuration anew, should a URL of it lead nowhere. `listener` is a socket that listens
    already, instead of the one that the settings name.
    Raises ConfigError or Misconfigured for settings that can't be used, an address already taken included.
    """
    if not structlog.is_configured():
        logs.configure(settings)
    urls = Urls(settings, reread)
    brokers = _brokers(settings, urls)
    gate = Gate.from_settings(settings)
    gate.warn(settings)
    listener = listener or listen(settings.listen)
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

    def tells() -> dict[str, int]:
        return metrics.sampled() | {"keyless": 0 if gate.guard is None else gate.guard.keyless}

    acknowledged = Acknowledged(lambda: urls.now("database_url"), tells)

    def published(door: str, result: str, seconds: float) -> None:
        metrics.published(result, seconds)
        acknowledged.count(door, result)

    def left_out(door: str, kind: str) -> None:
        metrics.left_out(kind)
        acknowledged.leave_out(door)

    publisher = Publisher(
        brokers,
        confirm_seconds=settings.confirm_timeout_seconds,
        max_outstanding=settings.max_outstanding,
        max_message_bytes=settings.amqp_max_message_bytes,
        observe=published,
    )
    spool = _spool(settings, metrics, acknowledged)
    reads = Reads(settings, lambda: urls.now("database_url"))
    application = app.build(settings, publisher, reads, gate, metrics, tracing, spool, left_out)
    service = Service(application, Limits.of(settings), refusals(metrics))
    metrics.watch_connections(service)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    heed_in(loop, [signal.SIGHUP], gate.reload)
    heed_in(loop, [signal.SIGTERM, signal.SIGINT], stop.set)
    collect_rarely()
    tls = None if gate.tls is None else gate.tls.context
    async with (
        acknowledged.kept(),
        notifying(Notifier(os.environ), gate),
        lifespan(application),
        _draining(spool, publisher, metrics),
        Listener(service, listener, tls).open(settings.drain_seconds),
    ):
        await stop.wait()


def _spool(settings: Settings, metrics: ShimMetrics, acknowledged: Acknowledged) -> Spool | None:
    folder = place(settings, os.environ)
    if folder is None:
        return None

    def spooled(door: str, result: str) -> None:
        metrics.spooled(result)
        acknowledged.count(door, result)

    patience = min(DISK_SECONDS, settings.drain_seconds)
    limit, failpoint = settings.collector_spool_bytes, from_environment(os.environ)
    return Spool(folder, limit, failpoint, observe=spooled, patience=patience)


@asynccontextmanager
async def _draining(spool: Spool | None, publisher: Publisher, metrics: ShimMetrics) -> AsyncIterator[None]:
    """Nothing where there is no spool. Its end comes before the publisher's, after the last answer."""
    if spool is None:
        metrics.watch_spool(Contents, 0)
        yield
        return
    drainer = Drainer(spool, publisher, from_environment(os.environ))
    metrics.watch_spool(lambda: drainer.contents, spool.limit)
    async with drainer.draining():
        yield


def refusals(metrics: ShimMetrics) -> Callable[[Answer], None]:
    """Who is answered before there is a request is counted and logged all the same."""
    log = structlog.get_logger("ingest.http")

    def refused(answer: Answer) -> None:
        metrics.answered("", answer.status, 0.0)
        log.info("request", method=None, route="", status=answer.status, verdict=answer.code, bytes=0, seconds=0.0)

    return refused


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
