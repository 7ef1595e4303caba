"""Real servers for the tests: one private stack a session; for each test a database and a vhost of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from ingest.local.rabbitmq import RabbitMQ
from ingest.local.stack import LocalStack

VHOSTS_AT_ONCE = 40
"""Making one takes a second, twenty take two."""
TEMPLATE = "ingest_template"


@contextmanager
def private_stack(prefix: str) -> Iterator[LocalStack]:
    """A started RabbitMQ (`.rabbit`) and PostgreSQL (`.postgres`) in a folder of their own; gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    stack = LocalStack(folder, environ=os.environ, say=lambda line: print(line, file=sys.stderr))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        remove_state(folder)


@pytest.fixture(scope="session")
def servers() -> Iterator[LocalStack]:
    """Servers shared by all tests: leave them running."""
    with private_stack("chef-ingest-test-") as stack:
        yield stack


def remove_state(folder: Path) -> None:
    """Removes a state folder, and its data if that lies elsewhere."""
    shutil.rmtree((folder / "data").resolve(), ignore_errors=True)
    shutil.rmtree(folder)


class VhostPool:
    """Hands out fresh vhosts; makes them in blocks, and forgets the used ones with the next block.

    Every vhost costs a restart of the broker a tenth of a second: of one that is restarted, fewer are kept.
    """

    def __init__(self, rabbit: RabbitMQ, at_once: int = VHOSTS_AT_ONCE) -> None:
        self._rabbit = rabbit
        self._at_once = at_once
        self._numbers = itertools.count(1)
        self._fresh: list[str] = []
        self._used: list[str] = []

    def take(self) -> str:
        """The AMQP URL of a vhost that nobody has used."""
        if not self._fresh:
            if self._used:
                self._rabbit.drop_vhosts(self._used)
            self._used = []
            self._fresh = [f"test-{next(self._numbers):04}" for _ in range(self._at_once)]
            self._rabbit.add_vhosts(self._fresh)
        vhost = self._fresh.pop(0)
        return self._rabbit.url_of(vhost)

    def give_back(self, url: str) -> None:
        self._used.append(urlsplit(url).path[1:])


@pytest.fixture(scope="session")
def vhost_pool(servers: LocalStack) -> VhostPool:
    assert servers.rabbit is not None
    return VhostPool(servers.rabbit)


@pytest.fixture
def amqp_url(vhost_pool: VhostPool) -> Iterator[str]:
    """The AMQP URL of an empty vhost, this test's own."""
    url = vhost_pool.take()
    yield url
    vhost_pool.give_back(url)


class Databases:
    """Makes databases on the session's cluster: empty ones, and migrated ones from a template."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._numbers = itertools.count(1)
        self._has_template = False

    def create(self, *, migrated: bool) -> str:
        if migrated and not self._has_template:
            from consumers.database.migrations import migrate

            self._execute(f"CREATE DATABASE {TEMPLATE}")
            migrate(self._url(TEMPLATE))
            self._has_template = True
        name = f"test_{next(self._numbers):04}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template0'}")
        return self._url(name)

    def drop(self, url: str) -> None:
        name = urlsplit(url).path[1:]
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, database: str) -> str:
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def databases(servers: LocalStack) -> Databases:
    assert servers.postgres is not None
    return Databases(servers.postgres.url)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The URL of a migrated, empty database, this test's own."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """The URL of a database without any table, this test's own."""
    url = databases.create(migrated=False)
    yield url
    databases.drop(url)
