"""The faults that a soak chooses from: each a name and a way to enter it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random

from ingest.local.postgres import Postgres
from ingest.local.processes import Process
from ingest.local.rabbitmq import RabbitMQ
from ingest.soak import nemesis
from ingest.soak.proxy import Proxy
from ingest.soak.system import children, signal_all

Harm = Callable[[], AbstractContextManager[None]]
"""Done on entering, healed on leaving; how long it lasts is the soak's choice."""


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


def harms(targets: Targets, random: Random) -> Mapping[str, Harm]:
    """Name -> harm, for everything there is to harm."""
    rabbit, postgres, url = targets.rabbit, targets.postgres, targets.database_url
    broker, database = targets.broker_proxy, targets.database_proxy
    return {
        "worker killed": lambda: _repeatedly(lambda: _kill_one(targets.supervisor, random), random),
        "worker frozen": lambda: nemesis.frozen(_some(targets.supervisor, random)),
        "supervisor killed": lambda: _restarted(targets.supervisor),
        "workers replaced (HUP)": lambda: _signalled(targets.supervisor, signal.SIGHUP),
        "shim killed": lambda: _restarted(targets.shim),
        "database stopped (immediate)": lambda: nemesis.postgres_stopped(postgres),
        "database frozen": lambda: nemesis.postgres_frozen(postgres),
        "database read-only": lambda: nemesis.read_only(url),
        "database out of connections": lambda: nemesis.no_connections(url),
        "table locked": lambda: nemesis.locked(url),
        "backends terminated": lambda: _repeatedly(lambda: nemesis.terminate_backends(url), random),
        "broker stopped": lambda: nemesis.broker_stopped(rabbit),
        "broker killed": lambda: nemesis.broker_killed(rabbit),
        "broker frozen": lambda: nemesis.frozen([pid for pid in [rabbit.process.pid] if pid]),
        "memory alarm": lambda: nemesis.memory_alarm(rabbit),
        "disk alarm": lambda: nemesis.disk_alarm(rabbit),
        "broker connections reset": lambda: _repeatedly(broker.cut, random),
        "broker connections half-open": lambda: _once(broker.freeze),
        "broker behind a black hole": lambda: _toxic(broker, black_hole=True),
        "broker slow": lambda: _toxic(broker, latency=0.2, rate=256 * 1024),
        "database connections reset": lambda: _repeatedly(database.cut, random),
        "database connections half-open": lambda: _once(database.freeze),
        "database behind a black hole": lambda: _toxic(database, black_hole=True),
        "database slow": lambda: _toxic(database, latency=0.2, rate=256 * 1024),
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
