"""Faults as context managers: harm done on entering, healed on leaving; each bounded by whoever holds it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psycopg

from consumers.database import statements
from ingest.local.postgres import Postgres
from ingest.local.rabbitmq import RabbitMQ
from ingest.soak.system import children, signal_all


@contextmanager
def frozen(pids: Sequence[int]) -> Iterator[None]:
    """SIGSTOP: the processes stand still, and their peers hear nothing."""
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@contextmanager
def postgres_stopped(postgres: Postgres, mode: str = "immediate") -> Iterator[None]:
    """`pg_ctl stop -m MODE`, then a start."""
    postgres.stop(mode)
    try:
        yield
    finally:
        postgres.start()


@contextmanager
def postgres_frozen(postgres: Postgres) -> Iterator[None]:
    """SIGSTOP to the postmaster and every backend."""
    pid = postgres.process.pid
    with frozen([] if pid is None else [pid, *children(pid)]):
        yield


@contextmanager
def read_only(database_url: str) -> Iterator[None]:
    """New transactions of everybody but us are read-only (25006), as on a standby."""
    name = urlsplit(database_url).path[1:]
    _alter(database_url, "make_read_only", name)
    terminate_backends(database_url)
    try:
        yield
    finally:
        _alter(database_url, "make_writable", name)
        terminate_backends(database_url)


@contextmanager
def no_connections(database_url: str) -> Iterator[None]:
    """Every connection the server has is taken (53300), and the workers are thrown out of theirs."""
    with ExitStack() as taken:
        ours = taken.enter_context(_connect(database_url))
        _take_all(database_url, taken)
        ours.execute(_sql("terminate"))
        _take_all(database_url, taken)
        yield


@contextmanager
def locked(database_url: str, table: str = "actions") -> Iterator[None]:
    """Somebody holds the table and thinks."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_sql("lock", table=table))
        yield


def terminate_backends(database_url: str) -> None:
    """Throw every worker and reader out of the database (57P01)."""
    with _connect(database_url) as connection:
        connection.execute(_sql("terminate"))


@contextmanager
def broker_stopped(rabbit: RabbitMQ) -> Iterator[None]:
    """`rabbitmqctl stop_app`, then `start_app`: the Erlang machine lives, the broker does not."""
    rabbit.ctl("stop_app")
    try:
        yield
    finally:
        rabbit.ctl("start_app")
        rabbit.wait_ready()


@contextmanager
def broker_killed(rabbit: RabbitMQ) -> Iterator[None]:
    """SIGKILL to the broker, then a start on what its disk has."""
    rabbit.kill()
    try:
        yield
    finally:
        rabbit.start()


@contextmanager
def memory_alarm(rabbit: RabbitMQ) -> Iterator[None]:
    """The broker believes it has no memory, and blocks whoever publishes."""
    rabbit.ctl("set_vm_memory_high_watermark", "0.0001")
    try:
        yield
    finally:
        rabbit.ctl("set_vm_memory_high_watermark", "0.4")


@contextmanager
def disk_alarm(rabbit: RabbitMQ) -> Iterator[None]:
    """The broker believes it has no disk, and blocks whoever publishes."""
    rabbit.ctl("set_disk_free_limit", "9000GB")
    try:
        yield
    finally:
        rabbit.ctl("set_disk_free_limit", "50MB")


def _connect(database_url: str) -> psycopg.Connection[tuple[object, ...]]:
    """One of ours: it may write whatever the default is, and is never thrown out by ourselves."""
    options = "-c default_transaction_read_only=off"
    return psycopg.connect(database_url, autocommit=True, connect_timeout=10, options=options)


def _take_all(database_url: str, taken: ExitStack) -> None:
    try:
        while True:
            taken.enter_context(_connect(database_url))
    except psycopg.OperationalError:
        return


def _alter(database_url: str, statement: str, database: str) -> None:
    with _connect(database_url) as connection:
        connection.execute(_sql(statement, database=database))


def _sql(name: str, **identifiers: str) -> bytes:
    """`{database}` and `{table}` are names of our own making."""
    text = statements.load("ingest.soak", "nemesis.sql")[name]
    for each, identifier in identifiers.items():
        text = text.replace(f"{{{each}}}", identifier)
    return text.encode()
