"""What a run runs: shim and consumers as processes of their own, and how to wait until all is quiet."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import psycopg

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.errors import BrokerUnavailable
from ingest.local.processes import Process, ProcessLedger
from ingest.soak.ledger import Reconciliation, SoakLedger
from ingest.soak.ports import free_port
from ingest.soak.tables import Looking, read_tables, stored, waiting
from schemas.settings import variable

T = TypeVar("T")

QUIET_SECONDS: Final = 1.5
"""How long nothing may change before we believe that all is still."""


PATIENCE_SECONDS: Final = 120.0
"""How long something may take before it counts as never: on a busy machine a second is easily half a minute."""


class NotInTime(Exception):
    """Something that had to happen did not, within its deadline."""


def until(probe: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """The first true answer of a probe that is asked again and again. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The pids of a process's children. Source: /proc/PID/task/TID/children [proc(5)]."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


class System:
    """The product's processes against one vhost and one database; stopped at the end of the `with`.

    `amqp_url` and `database_url` are what the processes are told, perhaps by way of a proxy; `direct_amqp_url`
    and `direct_database_url` are how we look for ourselves. `settings` go to every process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        amqp_url: str,
        database_url: str,
        direct_amqp_url: str = "",
        direct_database_url: str = "",
        **settings: object,
    ) -> None:
        self.folder = folder
        self.amqp_url, self.database_url = amqp_url, database_url
        self.direct_amqp_url = direct_amqp_url or amqp_url
        self.direct_database_url = direct_database_url or database_url
        # Where every message that was sent is looked for, every letter is kept.
        kept = {"letters_per_hour": 0, **settings}
        self._settings = {variable(name): str(value) for name, value in kept.items()}
        self._processes: list[Process] = []
        self._known = ProcessLedger(folder / "processes.json")
        self._listen: dict[str, str] = {}
        self._looking = Looking(self.direct_amqp_url, self.direct_database_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.stop()
        self._looking.close()

    def declare(self) -> None:
        """Put the topology on the broker."""
        connection = connect(self.direct_amqp_url, heartbeat=30, name="chef-ingest soak")
        declare(connection)
        connection.close()

    def spawn(self, name: str, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Process:
        """Any process of this system, with its log beside the others."""
        mine = {variable("amqp_url"): self.amqp_url, variable("database_url"): self.database_url}
        base = {key: value for key, value in os.environ.items() if not key.startswith("INGEST_")}
        mine[variable("collector_spool")] = str(self.folder / "spool")
        env = {**base, **mine, "INGEST_LOG_FORMAT": "json", **self._settings, **(environ or {})}
        log = self.folder / f"{name}.log"
        process = Process(name, argv, env=env, log=log, ledger=self._known, stop_seconds=60)
        process.spawn()
        self._processes.append(process)
        return process

    def consumers(self, count: int = 2, name: str = "consumers", environ: Mapping[str, str] | None = None) -> Process:
        """A supervisor with so many workers."""
        state = self.folder / f"{name}-state"
        return self.spawn(name, [*_ingest("consume"), "-n", str(count), "--state", str(state)], environ)

    def worker(self, name: str = "worker", lane: str = "main", environ: Mapping[str, str] | None = None) -> Process:
        """One worker without a supervisor."""
        return self.spawn(name, [*_ingest("worker"), "--lane", lane], environ)

    def shim(self, name: str = "shim", argv: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Process:
        """An HTTP shim; `url` tells where it listens, in every life of the process the same."""
        listen = self._listen.setdefault(name, f"127.0.0.1:{free_port()}")
        env = {variable("listen"): listen, **(environ or {})}
        process = self.spawn(name, argv or _ingest("serve"), env)
        process.wait_ready(lambda: self.health(name) is not None, PATIENCE_SECONDS)
        return process

    def started(self, workers: int = 2) -> Process:
        """A shim and so many workers, alive together; their supervisor."""
        self.shim()
        supervisor = self.consumers(workers)
        self.ready()
        return supervisor

    def url(self, name: str = "shim") -> str:
        return f"http://{self._listen[name]}"

    def health(self, name: str = "shim", path: str = "/healthz") -> int | None:
        """The status of a shim's answer; None when there is none."""
        try:
            with urllib.request.urlopen(self.url(name) + path, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    def ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the whole path is alive: a ping goes through shim, queue, worker and database."""
        try:
            until(lambda: self.health(path="/readyz") == 200, "the shim is ready", seconds)
        except NotInTime as error:
            raise NotInTime(f"{error}; it says {self._why()}") from None

    def _why(self) -> str:
        try:
            with urllib.request.urlopen(self.url() + "/readyz", timeout=5) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()
        except OSError as error:
            return repr(error)

    def log(self, name: str) -> list[dict[str, Any]]:
        """The events that a process (and its children) logged."""
        events = []
        for line in (self.folder / f"{name}.log").read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "text", "text": line}
            events.append(event if isinstance(event, dict) else {"event": "text", "text": line})
        return events

    def consuming(self, queue: str, count: int = 1, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a queue has so many consumers."""
        until(lambda: self.consumer_count(queue) == count, f"{queue} has {count} consumers", seconds)

    def consumer_count(self, queue: str) -> int | None:
        """How many consumers a queue has; None when the broker does not say."""
        try:
            return self._looking.counts([queue])[queue][1]
        except BrokerUnavailable:
            return None

    def stored(self) -> int:
        """Everything stored so far; -1 when the database does not say."""
        try:
            return stored(self._looking)
        except psycopg.Error:
            return -1

    def quiet(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until no queue has a message ready and nothing has been stored for a while."""
        deadline = time.monotonic() + seconds
        last, since = -2, time.monotonic()
        while True:
            now = (self.stored(), self._empty())
            if now != (last, True) or now[0] < 0:
                last, since = now[0], time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS:
                return
            if time.monotonic() > deadline:
                raise NotInTime(f"not quiet within {seconds:g} s: {now[0]} stored, {self.waiting()} waiting")
            time.sleep(0.1)

    def settle(self, ledger: SoakLedger, *processes: Process, seconds: float = PATIENCE_SECONDS) -> Reconciliation:
        """Wait for quiet, stop the consumers (so that nothing can hide unacked), and reconcile."""
        self.quiet(seconds)
        for process in processes:
            process.stop()
        return ledger.reconcile(read_tables(self.direct_database_url, self.direct_amqp_url))

    def _empty(self) -> bool:
        found = self.waiting()
        return found is not None and not any(found.values())

    def waiting(self) -> dict[str, int] | None:
        """Queue -> messages ready in it; None when the broker does not say."""
        try:
            return waiting(self._looking)
        except BrokerUnavailable:
            return None


def through(url: str, port: int) -> str:
    """The same URL by way of a proxy's port."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()


def signal_all(pids: Sequence[int], number: int) -> None:
    """Send a signal to processes, of which some may be gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.Signals(number))
        except ProcessLookupError:
            continue


def _ingest(command: str) -> list[str]:
    return [sys.executable, "-m", "ingest", command]
