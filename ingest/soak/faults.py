"""The faults that a soak chooses from, each a name and a way to enter it, and the plan that a seed makes of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from ingest.local.postgres import Postgres
from ingest.local.processes import Process
from ingest.local.rabbitmq import RabbitMQ
from ingest.soak import nemesis
from ingest.soak.proxy import Proxy
from ingest.soak.system import children, signal_all

HOLD_SECONDS: Final = (2.0, 12.0)
PAUSE_SECONDS: Final = (2.0, 8.0)

Harm = Callable[[Random], AbstractContextManager[None]]
"""Done on entering, healed on leaving; how long it lasts is the plan's choice. It draws of what it is given."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault: how long it is held, how long the pause after it is, and what it draws its details of."""

    name: str
    hold: float
    pause: float
    random: Random


def plan(seed: int, names: Collection[str]) -> Iterator[Planned]:
    """Every fault once, in random order, before any comes a second time; without end.

    What a fault draws, which depends on how many workers there are just then, changes nothing of the next one.
    """
    random = Random(seed)
    while True:
        for name in random.sample(sorted(names), len(names)):
            own = Random(random.getrandbits(64))
            yield Planned(name, random.uniform(*HOLD_SECONDS), random.uniform(*PAUSE_SECONDS), own)


@dataclass(frozen=True, slots=True)
class Targets:
    """What can be harmed."""

    rabbit: RabbitMQ
    postgres: Postgres
    broker_proxy: Proxy
    database_proxy: Proxy
    shim: Process
    supervisor: Process
    database_url: str


def harms(targets: Targets) -> Mapping[str, Harm]:
    """Name -> harm, for everything there is to harm."""
    rabbit, postgres, url = targets.rabbit, targets.postgres, targets.database_url
    broker, database = targets.broker_proxy, targets.database_proxy
    return {
        "worker killed": lambda random: _repeatedly(lambda: _kill_one(targets.supervisor, random), random),
        "worker frozen": lambda random: nemesis.frozen(_some(targets.supervisor, random)),
        "supervisor killed": lambda _: _restarted(targets.supervisor),
        "workers replaced (HUP)": lambda _: _signalled(targets.supervisor, signal.SIGHUP),
        "shim killed": lambda _: _restarted(targets.shim),
        "database stopped (immediate)": lambda _: nemesis.postgres_stopped(postgres),
        "database frozen": lambda _: nemesis.postgres_frozen(postgres),
        "database read-only": lambda _: nemesis.read_only(url),
        "database out of connections": lambda _: nemesis.no_connections(url),
        "table locked": lambda _: nemesis.locked(url),
        "backends terminated": lambda random: _repeatedly(lambda: nemesis.terminate_backends(url), random),
        "broker stopped": lambda _: nemesis.broker_stopped(rabbit),
        "broker killed": lambda _: nemesis.broker_killed(rabbit),
        "broker frozen": lambda _: nemesis.frozen([pid for pid in [rabbit.process.pid] if pid]),
        "memory alarm": lambda _: nemesis.memory_alarm(rabbit),
        "disk alarm": lambda _: nemesis.disk_alarm(rabbit),
        "broker connections reset": lambda random: _repeatedly(broker.cut, random),
        "broker connections half-open": lambda _: _once(broker.freeze),
        "broker behind a black hole": lambda _: _toxic(broker, black_hole=True),
        "broker slow": lambda _: _toxic(broker, latency=0.2, rate=256 * 1024),
        "database connections reset": lambda random: _repeatedly(database.cut, random),
        "database connections half-open": lambda _: _once(database.freeze),
        "database behind a black hole": lambda _: _toxic(database, black_hole=True),
        "database slow": lambda _: _toxic(database, latency=0.2, rate=256 * 1024),
    }


@contextmanager
def _once(act: Callable[[], object]) -> Iterator[None]:
    act()
    yield


@contextmanager
def _repeatedly(act: Callable[[], object], random: Random) -> Iterator[None]:
    for _ in range(random.randint(1, 4)):
        act()
        time.sleep(random.uniform(0.1, 2.0))
    yield


@contextmanager
def _toxic(proxy: Proxy, **toxics: object) -> Iterator[None]:
    proxy.set(**toxics)
    try:
        yield
    finally:
        proxy.set()


@contextmanager
def _restarted(process: Process) -> Iterator[None]:
    process.kill()
    try:
        yield
    finally:
        process.spawn()


@contextmanager
def _signalled(process: Process, number: int) -> Iterator[None]:
    signal_all([pid for pid in [process.pid] if pid], number)
    yield


def _some(supervisor: Process, random: Random) -> list[int]:
    workers = children(supervisor.pid) if supervisor.pid else []
    return random.sample(workers, min(1, len(workers)))


def _kill_one(supervisor: Process, random: Random) -> None:
    signal_all(_some(supervisor, random), signal.SIGKILL)
