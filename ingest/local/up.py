"""`up`: the whole system on one machine, started in order, stopped in order."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.broker.queues import counts
from consumers.database.migrations import migrate
from ingest.access.exposure import check_metrics_exposure
from ingest.access.gate import Gate
from ingest.http.listener import listen as listen_at
from ingest.local.demonstration import credentials, demonstrate, tell_where_to_go, terminal_columns
from ingest.local.processes import Process, ProcessFailed
from ingest.local.shim_client import ShimClient
from ingest.local.stack import LocalStack, StackUrls
from ingest.local.steps import Interrupt, Steps
from schemas.address import Address, parse
from schemas.settings import ConfigError, Loaded, variable
from schemas.topology import PINGS

READY_SECONDS: Final = 120.0
WATCH_SECONDS: Final = 0.5
PORTS_TRIED: Final = 100
CONSOLE: Final = "console"


def run_up(
    loaded: Loaded,
    state: Path,
    environ: Mapping[str, str],
    *,
    listen: str | None,
    consumers: int | None,
    demo: bool,
    logs: bool,
    console: bool,
    steps: Steps,
) -> int:
    """Start everything, print `ready URL`, serve until SIGINT or SIGTERM, stop everything; the exit code.

    `loaded` is what was read out of `environ`, which the children get; with `logs` they log to our standard error;
    the operator's page is one of them where `console` says that it is installed.

    Raises what the local stack raises, ConfigError, BrokerUnavailable, StoreUnavailable, Misconfigured.
    """
    stop = Interrupt()
    # Before anything is started: serve, consume and the demonstration would refuse the same, a minute later.
    gate = Gate.from_settings(replace(loaded.settings, listen=listen or loaded.settings.listen))
    check_metrics_exposure(loaded.settings)
    headers = credentials(loaded.settings) if demo else {}
    with ExitStack() as undo:
        try:
            with steps:
                stack = LocalStack(
                    state,
                    amqp_url=environ.get("AMQP_URL"),
                    database_url=environ.get("DATABASE_URL"),
                    environ=environ,
                    say=steps.say,
                    doing=steps.doing,
                    given_up=stop.check,
                )
                undo.callback(stack.stop)
                stack.acquire()
                commands = _commands(loaded, listen, consumers, console, steps.say, undo)
                urls = _start_servers(stack, steps, stop)
                scheme = "http" if gate.tls is None else "https"
                shim = ShimClient(f"{scheme}://{commands[-1].address}", headers)
                steps.doing(f"starting the shim and {consumers or loaded.settings.consumers} consumers")
                children = _children(stack, environ, urls, commands, logs, undo)
                is_ready = _working(shim, urls.amqp_url) if loaded.settings.tls_client_ca else shim.is_ready
                _await(children, is_ready, stop)
        except Exception:
            # Ctrl-C reaches what we run in the foreground too (initdb, apt-get), which then fails.
            if not stop:
                raise
            undo.close()
            _say(f"interrupted before it was ready: nothing of it runs; the data stays in {state}")
            return 128 + stop.number
        # Last in, first out: said when all is stopped; what is being stopped is nobody's any more.
        with ExitStack() as said:
            said.callback(lambda: _say(f"stopped; the data stays in {state}"))
            said.callback(undo.close)
            said.callback(lambda: stack.state.enter("stopping"))
            stack.state.publish(ingest_url=shim.url)
            stack.state.enter("running")
            print(f"ready {shim.url}", flush=True)
            if demo:
                _demonstrate(shim, urls)
                tell_where_to_go(_tell, shim.url, state, logs=logs, console=_page(commands, scheme))
            return _watch(children, stop)


def _start_servers(stack: LocalStack, steps: Steps, stop: Interrupt) -> StackUrls:
    urls = stack.start()
    stack.state.enter("starting")
    stop.check()
    steps.doing("bringing up the database's schema and the broker's queues")
    migrate(urls.database_url)
    _declare(urls.amqp_url)
    stop.check()
    return urls


class Given(NamedTuple):
    """What a child is started with: its command, and a socket that listens for it, which a setting names to it."""

    name: str
    command: Sequence[str]
    setting: str = ""
    listener: socket.socket | None = None
    address: str = ""

    @classmethod
    def listening(cls, name: str, command: str, setting: str, listener: socket.socket) -> Given:
        """At an address that is ours before anything is started: whoever else answers there is not taken for it."""
        return cls(name, [command], setting, listener, str(Address(*listener.getsockname()[:2])))


def _commands(
    loaded: Loaded,
    listen: str | None,
    consumers: int | None,
    console: bool,
    say: Callable[[str], None],
    undo: ExitStack,
) -> list[Given]:
    """What is to be started, the shim last, which is ready when the others are. Sockets listen from now on, until
    `undo`. Raises ConfigError."""
    commands = [Given("consumers", ["consume", "-n", str(consumers or loaded.settings.consumers)])]
    listener = undo.enter_context(_listening(loaded, "listen", listen, "shim", say))
    if console:
        page = undo.enter_context(_listening(loaded, "console_listen", None, CONSOLE, say))
        commands.append(Given.listening(CONSOLE, "console", "console_listen", page))
    return [*commands, Given.listening("shim", "serve", "listen", listener)]


def _page(commands: Sequence[Given], scheme: str) -> str:
    """The console's URL; empty where none is started."""
    return next((f"{scheme}://{each.address}" for each in commands if each.name == CONSOLE), "")


def _children(
    stack: LocalStack,
    environ: Mapping[str, str],
    urls: StackUrls,
    commands: Sequence[Given],
    logs: bool,
    undo: ExitStack,
) -> list[Process]:
    """The children, started; `undo` stops them."""
    sockets = [each.listener for each in commands if each.listener is not None]
    env = {
        **environ,
        variable("amqp_url"): urls.amqp_url,
        variable("database_url"): urls.database_url,
        **{variable(each.setting): each.address for each in commands if each.setting},
        # Where `chef-ingest scale` and `status` find the supervisor.
        "INGEST_STATE": str(stack.state.folder),
    }
    children = []
    for each in commands:
        passed = [] if each.listener is None else [each.listener.fileno()]
        children.append(
            stack.process(
                each.name,
                [sys.executable, "-P", "-m", "ingest", *each.command, *(f"--listen-fd={number}" for number in passed)],
                env=env,
                log=None if logs else stack.state.logs / f"{each.name}.log",
                stop_seconds=60,
                pass_fds=passed,
                # Relative paths in their settings are those of whoever typed them.
                cwd=str(Path.cwd()),
            )
        )
    for child in children:
        undo.callback(child.stop)
        child.spawn()
    # From here on only the children answer there: should one die, nobody does.
    for listener in sockets:
        listener.close()
    return children


def _listening(loaded: Loaded, setting: str, listen: str | None, who: str, say: Callable[[str], None]) -> socket.socket:
    """Where we are told to listen; told nothing, at the default's port or the next one that is free.

    Ours before anything is started: whoever else listens there is not taken for our shim. Raises ConfigError.
    """
    default = getattr(loaded.settings, setting)
    if listen or loaded.origins[setting] != "default":
        return listen_at(listen or default, variable(setting))
    host, port = parse(default)
    for each in range(port, port + PORTS_TRIED):
        try:
            found = listen_at(str(Address(host, each)), variable(setting))
        except ConfigError as error:
            if getattr(error.__cause__, "errno", None) != errno.EADDRINUSE or each == port + PORTS_TRIED - 1:
                raise
        else:
            break
    if each != port:
        say(f"port {port} is taken: the {who} listens at {each}")
    return found


def _await(children: list[Process], is_ready: Callable[[], bool], stop: Interrupt) -> None:
    *others, last = children

    def probe() -> bool:
        stop.check()
        for each in others:
            if (status := each.poll()) is not None:
                raise ProcessFailed(f"{each.name} ended with status {status} before it was ready{each.tail()}")
        return is_ready()

    last.wait_ready(probe, READY_SECONDS)


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


def _demonstrate(shim: ShimClient, urls: StackUrls) -> None:
    _tell("\nthe demonstration:")
    right = demonstrate(
        _tell, shim=shim, amqp_url=urls.amqp_url, database_url=urls.database_url, columns=terminal_columns()
    )
    _tell("every answer as it should be" if right else "NOT every answer was the right one: see above")


def _watch(children: list[Process], stop: Interrupt) -> int:
    while not stop.wait(WATCH_SECONDS):
        for child in list(children):
            status = child.poll()
            if status is not None and child.name == CONSOLE:
                # What comes in does not depend on who looks at it.
                _say(f"{child.name} ended by itself with status {status}, the rest goes on{child.tail()}")
                children.remove(child)
            elif status is not None:
                _say(f"{child.name} ended by itself with status {status}: stopping the rest{child.tail()}")
                return status if status > 0 else 1
    _say("stopping")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell(line: Any) -> None:
    print(line, flush=True)
