"""The composition root of `console`: one process, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from typing import Any, Final

import structlog
from uvicorn import Config, Server

from consumers.runtime.signals import heed, heed_in
from ingest.access.tls import ServerTLS, server_tls
from ingest.console.app import build
from ingest.console.patience import patient
from ingest.console.views.machine import Machine
from ingest.http.listener import listen
from ingest.telemetry import logs
from schemas.address import Address
from schemas.settings import Settings

_CONNECTIONS: Final = 200
_GRACE_SECONDS: Final = 2
"""For answers that are under way at the end; a page's stream of numbers has no other end."""


def run_console(machine: Machine, listener: socket.socket | None = None) -> int:
    """Serve pages until SIGTERM or SIGINT and return 0; SIGHUP reads the certificate again.

    `listener` is a socket that listens already, instead of the one that the settings name.
    Raises ConfigError for settings that can't be used, an address already taken included.
    """
    settings = machine.settings
    if not structlog.is_configured():
        logs.configure(settings)
    application = build(settings, machine)
    tls = server_tls(settings)
    listener = listener or listen(settings.console_listen, "INGEST_CONSOLE_LISTEN")
    config = configured(application, settings, None if tls is None else tls.context)
    url = f"{'http' if tls is None else 'https'}://{Address(*listener.getsockname()[:2])}"
    log = structlog.get_logger("ingest.console")
    log.info("listening", url=url)
    server = Server(config)

    async def run() -> None:
        if tls is not None:
            heed_in(asyncio.get_running_loop(), [signal.SIGHUP], lambda: _reload(tls, log))
        await server.serve([listener])

    # uvicorn raises the signal that ended it once more; it has been heeded by then.
    heed([signal.SIGTERM, signal.SIGINT], lambda _: None)
    with contextlib.closing(listener), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
    log.info("stopped", url=url)
    return 0


def _reload(tls: ServerTLS, log: Any) -> None:
    faults = [each for part in tls.reload().values() for each in part]
    if faults:
        log.error("not_reloaded", why="; ".join(faults), remedy="mend it, and send SIGHUP again")
    else:
        log.info("reloaded")


def configured(application: object, settings: Settings, tls: ssl.SSLContext | None = None) -> Config:
    """uvicorn's configuration: it says nothing of itself, believes no proxy, and waits for no client for ever."""
    config = Config(
        application,  # type: ignore[arg-type]
        http=patient(settings.slow_client_seconds, settings.max_header_bytes),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    config.load()
    config.ssl = tls
    return config
