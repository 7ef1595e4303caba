"""`up`: the whole system on one machine, started in order, stopped in order."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.broker.queues import counts
from consumers.database.migrations import migrate
from ingest.access.exposure import check_metrics_exposure
from ingest.access.gate import Gate
from ingest.http.listener import listen as listen_at
from ingest.local.demonstration import credentials, demonstrate
from ingest.local.processes import Process
from ingest.local.shim_client import ShimClient
from ingest.local.stack import LocalStack, StackUrls
from schemas.address import Address
from schemas.settings import Loaded, variable
from schemas.topology import PINGS

READY_SECONDS: Final = 120.0
WATCH_SECONDS: Final = 0.5


def run_up(
    loaded: Loaded, state: Path, environ: Mapping[str, str], *, listen: str | None, consumers: int | None, demo: bool
) -> int:
    """Start everything, print `ready URL`, serve until SIGINT or SIGTERM, stop everything; the exit code.

    `loaded` is what was read out of `environ`, which the children get.

    Raises what the local stack raises, ConfigError, BrokerUnavailable, StoreUnavailable, Misconfigured.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Before anything is started: serve, consume and the demonstration would refuse the same, a minute later.
    gate = Gate.from_settings(replace(loaded.settings, listen=listen or loaded.settings.listen))
    check_metrics_exposure(loaded.settings)
    headers = credentials(loaded.settings) if demo else {}
    stack = LocalStack(
        state,
        amqp_url=environ.get("AMQP_URL"),
        database_url=environ.get("DATABASE_URL"),
        environ=environ,
        say=_say,
    )
    with ExitStack() as undo:
        # Ours before anything is started: whoever else listens there is not taken for our shim.
        named = listen or (None if loaded.origins["listen"] == "default" else loaded.settings.listen)
        listener = undo.enter_context(listen_at(named)) if named else None
        # What does not start has stopped itself already, and says why; "stopped" is for what ran.
        urls = stack.start()
        undo.callback(lambda: _say("stopped; the data stays in " + str(stack.state.folder)))
        undo.callback(stack.stop)
        migrate(urls.database_url)
        _declare(urls.amqp_url)
        if listener is None:
            listener = undo.enter_context(listen_at(f"127.0.0.1:{stack.state.port('http')}"))
        address = str(Address(*listener.getsockname()[:2]))
        children = _children(stack, environ, urls, listener, consumers or loaded.settings.consumers)
        for child in children:
            undo.callback(child.stop)
            child.spawn()
        # From here on only the shim answers there: should it die, nobody does.
        listener.close()
        shim = ShimClient(f"http://{address}" if gate.tls is None else f"https://{address}", headers)
        is_ready = _working(shim, urls.amqp_url) if loaded.settings.tls_client_ca else shim.is_ready
        children[-1].wait_ready(lambda: stop.is_set() or is_ready(), READY_SECONDS)
        if stop.is_set():
            return 0
        stack.state.publish(ingest_url=shim.url)
        print(f"ready {shim.url}", flush=True)
        if demo:
            _demonstrate(shim, urls, state)
        return _watch(children, stop)


def _children(
    stack: LocalStack, environ: Mapping[str, str], urls: StackUrls, listener: socket.socket, consumers: int
) -> list[Process]:
    env = {
        **environ,
        variable("amqp_url"): urls.amqp_url,
        variable("database_url"): urls.database_url,
        variable("listen"): str(Address(*listener.getsockname()[:2])),
        # Where `chef-ingest scale` and `status` find the supervisor.
        "INGEST_STATE": str(stack.state.folder),
    }
    command = [sys.executable, "-P", "-m", "ingest"]
    return [
        stack.process("consumers", [*command, "consume", "-n", str(consumers)], env=env, stop_seconds=60),
        stack.process(
            "shim",
            [*command, "serve", "--listen-fd", str(listener.fileno())],
            env=env,
            stop_seconds=60,
            pass_fds=[listener.fileno()],
        ),
    ]


def _declare(amqp_url: str) -> None:
    connection = connect(amqp_url, heartbeat=30, name="chef-ingest up")
    declare(connection)
    connection.close()


def _working(shim: ShimClient, amqp_url: str) -> Callable[[], bool]:
    """Ready without a client's certificate, hence without HTTP: the shim answers TLS, and workers consume."""

    def is_ready() -> bool:
        if not shim.shakes_hands():
            return False
        connection = connect(amqp_url, heartbeat=30, name="chef-ingest up")
        consuming = counts(connection.channel(), PINGS)[1]
        connection.close()
        return consuming > 0

    return is_ready


def _demonstrate(shim: ShimClient, urls: StackUrls, state: Path) -> None:
    _tell("\nthe demonstration:")
    right = demonstrate(_tell, shim=shim, amqp_url=urls.amqp_url, database_url=urls.database_url)
    _tell("every answer as it should be" if right else "NOT every answer was the right one: see above")
    _tell(f"\nlistening at {shim.url}; Ctrl-C stops everything.\nservers' addresses: chef-ingest env --state {state}")


def _watch(children: list[Process], stop: threading.Event) -> int:
    while not stop.wait(WATCH_SECONDS):
        for child in children:
            status = child.poll()
            if status is not None:
                _say(f"{child.name} ended by itself with status {status}: stopping the rest")
                return status if status > 0 else 1
    _say("stopping")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell(line: Any) -> None:
    print(line, flush=True)
