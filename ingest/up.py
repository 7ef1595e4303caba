"""`up`: the whole system on one machine, started in order, stopped in order."""

from __future__ import annotations

import signal
import ssl
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from consumers.connect import connect
from consumers.declare import declare
from consumers.migrations import migrate
from ingest.configuration import configure
from ingest.demonstration import demonstrate
from ingest.gate import Gate
from ingest.local.processes import Process
from ingest.local.stack import LocalStack, Urls
from schemas.settings import variable

READY_SECONDS: Final = 60.0
WATCH_SECONDS: Final = 0.5


def run_up(state: Path, environ: Mapping[str, str], *, listen: str | None, consumers: int | None, demo: bool) -> int:
    """Start everything, print `ready URL`, serve until SIGINT or SIGTERM, stop everything; the exit code.

    Raises what the local stack raises, ConfigError, BrokerUnavailable, StoreUnavailable, Misconfigured.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    loaded = configure(environ)
    # Before anything is started: serve would refuse the same, a minute later.
    gate = Gate.from_settings(replace(loaded.settings, listen=listen or loaded.settings.listen))
    stack = LocalStack(
        state,
        amqp_url=environ.get("AMQP_URL"),
        database_url=environ.get("DATABASE_URL"),
        environ=environ,
        say=_say,
    )
    with ExitStack() as undo:
        undo.callback(lambda: _say("stopped; the data stays in " + str(stack.state.folder)))
        undo.callback(stack.stop)
        urls = stack.start()
        migrate(urls.database_url)
        _declare(urls.amqp_url)
        if listen is None and loaded.origins["listen"] == "default":
            listen = f"127.0.0.1:{stack.state.port('http')}"
        listen = listen or loaded.settings.listen
        children = _children(stack, environ, urls, listen, consumers or loaded.settings.consumers)
        for child in children:
            undo.callback(child.stop)
            child.spawn()
        ingest_url = f"http://{listen}" if gate.tls is None else f"https://{listen}"
        children[-1].wait_ready(lambda: stop.is_set() or _is_ready(ingest_url), READY_SECONDS)
        if stop.is_set():
            return 0
        stack.state.publish(ingest_url=ingest_url)
        print(f"ready {ingest_url}", flush=True)
        if demo:
            _demonstrate(ingest_url, urls, state)
        return _watch(children, stop)


def _children(stack: LocalStack, environ: Mapping[str, str], urls: Urls, listen: str, consumers: int) -> list[Process]:
    env = {
        **environ,
        variable("amqp_url"): urls.amqp_url,
        variable("database_url"): urls.database_url,
        variable("listen"): listen,
        # Where `chef-ingest scale` and `status` find the supervisor.
        "INGEST_STATE": str(stack.state.folder),
    }
    command = [sys.executable, "-m", "ingest"]
    return [
        stack.process("consumers", [*command, "consume", "-n", str(consumers)], env=env, stop_seconds=60),
        stack.process("shim", [*command, "serve"], env=env, stop_seconds=60),
    ]


def _declare(amqp_url: str) -> None:
    connection = connect(amqp_url, heartbeat=30, name="chef-ingest up")
    declare(connection)
    connection.close()


def _is_ready(ingest_url: str) -> bool:
    try:
        # Our own child: whom its certificate is for, and by whom, is not in question.
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(f"{ingest_url}/readyz", timeout=5, context=context) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _demonstrate(ingest_url: str, urls: Urls, state: Path) -> None:
    _tell("\nthe demonstration:")
    right = demonstrate(_tell, ingest_url=ingest_url, amqp_url=urls.amqp_url, database_url=urls.database_url)
    _tell("every answer as it should be" if right else "NOT every answer was the right one: see above")
    _tell(f"\nlistening at {ingest_url}; Ctrl-C stops everything.\nservers' addresses: chef-ingest env --state {state}")


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
