"""A soak: the whole product behind proxies, load from every door, one random fault after another, and the ledger."""

from __future__ import annotations

import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from consumers.database.migrations import migrate
from consumers.runtime.signals import heed
from ingest.local.stack import LocalStack
from ingest.soak.faults import Planned, Targets, harms, plan
from ingest.soak.ledger import SoakLedger
from ingest.soak.proxy import Proxy
from ingest.soak.senders import Load, Sender
from ingest.soak.system import NotInTime, System, children, through
from ingest.soak.workload import Script, Workload

Say = Callable[[str], None]

HEAL_SECONDS: Final = 90.0
"""How long the path may take to be whole again after a fault; longer is a failure of its own."""
QUIET_SECONDS: Final = 300.0


def run_soak(minutes: float, *, seed: int | None, state: Path | None, environ: Mapping[str, str], say: Say) -> int:
    """Run for so many minutes; prints faults as they come and the ledger at the end. 0 if it holds, else 1."""
    stop = threading.Event()
    heed([signal.SIGINT, signal.SIGTERM], lambda _: stop.set())
    seed = secrets.randbelow(10**6) if seed is None else seed
    folder = state or Path(tempfile.mkdtemp(prefix="chef-ingest-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    say(f"soak: {minutes:g} minutes, seed {seed}, logs in {folder}")
    holds = False
    try:
        with ExitStack() as undo:
            soak = Soak(folder, seed, environ, say, undo)
            holds = soak.run(minutes * 60, stop)
    except NotInTime as error:
        say(f"the soak did not come to its end: {error}")
    finally:
        if state is None and holds:
            shutil.rmtree((folder / "data").resolve(), ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
    if not holds:
        say(f"the same faults again: chef-ingest soak --minutes {minutes:g} --seed {seed}")
    return 0 if holds else 1


class Soak:
    """One run; everything it starts is stopped by `undo`."""

    def __init__(self, folder: Path, seed: int, environ: Mapping[str, str], say: Say, undo: ExitStack) -> None:
        self._say = say
        self._ledger = SoakLedger()
        self._faults: Counter[str] = Counter()
        self._unhealed: list[str] = []
        stack = LocalStack(folder, environ=environ, say=say)
        undo.callback(stack.stop)
        urls = stack.start()
        assert stack.rabbit is not None
        assert stack.postgres is not None
        migrate(urls.database_url)
        broker = undo.enter_context(Proxy(stack.rabbit.port))
        database = undo.enter_context(Proxy(urlsplit(stack.postgres.url).port or 0))
        self._system = undo.enter_context(
            System(
                folder,
                amqp_url=through(urls.amqp_url, broker.port),
                database_url=through(urls.database_url, database.port),
                direct_amqp_url=urls.amqp_url,
                direct_database_url=urls.database_url,
                heartbeat_seconds=5,
                statement_timeout_seconds=5,
                lock_timeout_seconds=2,
            )
        )
        self._system.declare()
        stack.rabbit.sync()
        self._shim = self._system.shim()
        self._supervisor = self._system.consumers(2)
        targets = Targets(
            stack.rabbit, stack.postgres, broker, database, self._shim, self._supervisor, urls.database_url
        )
        self._harms = harms(targets)
        self._plan = plan(seed, self._harms)
        self._senders = _senders(self._system, Workload(seed, datetime.now(UTC)))

    def run(self, seconds: float, stop: threading.Event) -> bool:
        """Whether the ledger holds and everything healed by itself."""
        self._system.ready()
        began = time.monotonic()
        with Load(self._ledger, self._senders) as load:
            stop.wait(min(5.0, seconds))
            before = self._costs()
            while time.monotonic() - began < seconds and not stop.is_set():
                planned = next(self._plan)
                self._harm(planned, time.monotonic() - began, stop)
                stop.wait(planned.pause)
            after = self._costs()
            load.stop()
        account = self._system.settle(self._ledger, self._supervisor, seconds=QUIET_SECONDS)
        self._say(f"\n{sum(self._faults.values())} faults in {(time.monotonic() - began) / 60:.1f} minutes:")
        for name, count in sorted(self._faults.items()):
            self._say(f"{count:>16}  {name}")
        self._say(f"\n{account}")
        self._say("\n" + _compared(before, after))
        for name in self._unhealed:
            self._say(f"NOT healed within {HEAL_SECONDS:g} s: {name}")
        return account.holds and not self._unhealed

    def _harm(self, planned: Planned, elapsed: float, stop: threading.Event) -> None:
        name, hold = planned.name, planned.hold
        self._faults[name] += 1
        with self._harms[name](planned.random):
            stop.wait(hold)
        healed = time.monotonic()
        try:
            self._system.ready(HEAL_SECONDS)
        except NotInTime:
            self._unhealed.append(f"{name}, at {elapsed:.0f} s")
        took = time.monotonic() - healed
        promised = self._ledger.promised
        self._say(f"{elapsed:7.0f} s  {name}, {hold:.0f} s; whole again after {took:.1f} s; {promised} acknowledged")

    def _costs(self) -> dict[str, tuple[int, int]]:
        """Process -> (resident kB, open files) now, of the shim and of the largest worker."""
        workers = [_cost(pid) for pid in children(self._supervisor.pid)] if self._supervisor.pid else []
        shim = _cost(self._shim.pid) if self._shim.pid else (0, 0)
        return {"shim": shim, "largest worker": max(workers, default=(0, 0))}


def _senders(system: System, workload: Workload) -> list[Sender]:
    def runs() -> Iterator[Script]:
        while True:
            yield workload.run()

    def collected() -> Iterator[Script]:
        while True:
            yield workload.collected_run()

    def letters() -> Iterator[Script]:
        while True:
            yield (workload.letter(),)

    url = system.url()
    return [
        Sender("amqp", system.direct_amqp_url, workload.actions(), rate=100),
        Sender("201", url, workload.actions(), rate=20, tries=3),
        Sender("201", url, workload.actions(data_bytes=20_000), rate=2),
        Sender("202", url, workload.actions(), rate=40),
        Sender("201", url, runs(), rate=5, tries=6, pause=2.0),
        Sender("201", url, collected(), rate=5, tries=6, pause=2.0),
        Sender("201", url, letters(), rate=1),
    ]


def _cost(pid: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return resident, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (OSError, StopIteration):
        return 0, 0


def _compared(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> str:
    return "\n".join(
        f"{name:>16}  {before[name][0] // 1024} MB, {before[name][1]} open files at the start;"
        f" {after[name][0] // 1024} MB, {after[name][1]} at the end"
        for name in before
    )
