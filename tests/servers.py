"""The servers of a test session, started once for all its workers, and what is handed out on them."""

from __future__ import annotations

import contextlib
import fcntl
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

from ingest.local.install import Places, find
from ingest.local.rabbitmq import RabbitMQ
from ingest.local.stack import LocalStack
from ingest.local.state import StateFolder
from tests import looking

VHOSTS_AT_ONCE = 40
"""Making one takes a second, twenty take two."""


IN_MEMORY = Path("/dev/shm")
ROOM = 3 << 30
"""Bytes that the servers of a whole session never need."""


LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may have."""


def fresh_folder(prefix: str) -> Path:
    """An empty folder for servers' data: in memory where there is plenty, so that no commit waits for a disk.

    What a session that was killed has left there is removed.
    """
    for left in IN_MEMORY.glob("chef-ingest-*/lock"):
        with contextlib.suppress(OSError), left.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    with contextlib.suppress(OSError, ValueError, IndexError):
        limits = [int(each.read_text()) for each in LIMITS if each.exists() and each.read_text().strip() != "max"]
        _, _, told = Path("/proc/meminfo").read_text().partition("MemAvailable:")
        available = int(told.split()[0]) << 10
        if min(shutil.disk_usage(IN_MEMORY).free, available // 2, *limits) > ROOM:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=IN_MEMORY))
    return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def folder_of_servers(prefix: str) -> Iterator[Path]:
    """A fresh folder, gone at the end."""
    folder = fresh_folder(prefix)
    try:
        yield folder
    finally:
        remove_state(folder)


@contextmanager
def private_stack(folder: Path) -> Iterator[LocalStack]:
    """A started RabbitMQ (`.rabbit`) and PostgreSQL (`.postgres`) in that fresh folder; gone at the end."""
    folder.chmod(0o711)
    stack = LocalStack(folder, environ=os.environ, say=lambda line: print(line, file=sys.stderr))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        remove_state(folder)


def remove_state(folder: Path) -> None:
    """Removes a state folder, and its data if that lies elsewhere."""
    shutil.rmtree((folder / "data").resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


class RunningState(StateFolder):
    """The state folder of a stack that somebody else runs: that its ports are in use is right."""

    def port(self, name: str) -> int:
        """The port of that server; nobody has to be able to bind it."""
        port = self.port_kept(name)
        assert port is not None, f"nobody has started {name} on {self.folder}"
        return port


class RunningStack(LocalStack):
    """The stack that another process runs on `folder`, as seen from here: to be used, never to be harmed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, environ=os.environ, say=lambda _: None)
        self.state = RunningState(folder)
        data, programs = (folder / "data").resolve(), find(os.environ, Places())
        self.rabbit = self._rabbit(programs, data / "rabbitmq", None)
        self.postgres = self._postgres(programs, data / "postgres", None)


class VhostPool:
    """Hands out fresh vhosts; makes them in blocks, and forgets the used ones with the next block.

    `owner` begins their names: workers share the broker, and none makes or forgets another's.
    Every vhost costs a restart of the broker a tenth of a second: of one that is restarted, fewer are kept.
    """

    def __init__(self, rabbit: RabbitMQ, owner: str, at_once: int = VHOSTS_AT_ONCE) -> None:
        self._rabbit = rabbit
        self._owner = owner
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
            self._fresh = [f"{self._owner}-{next(self._numbers):04}" for _ in range(self._at_once)]
            self._rabbit.add_vhosts(self._fresh)
        vhost = self._fresh.pop(0)
        return self._rabbit.url_of(vhost)

    def give_back(self, url: str) -> None:
        looking.forget(url)
        self._used.append(urlsplit(url).path[1:])


class Databases:
    """Makes databases on one cluster: empty ones, and migrated ones from a template.

    `owner` begins their names: workers share the cluster, and each has a template of its own.
    """

    def __init__(self, admin_url: str, owner: str) -> None:
        self._admin_url = admin_url
        self._owner = owner
        self._numbers = itertools.count(1)
        self._has_template = False

    def create(self, *, migrated: bool) -> str:
        template = f"{self._owner}_template"
        if migrated and not self._has_template:
            from consumers.database.migrations import migrate

            self._execute(f"CREATE DATABASE {template}")
            migrate(self._url(template))
            self._has_template = True
        name = f"{self._owner}_{next(self._numbers):04}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template if migrated else 'template0'}")
        return self._url(name)

    def drop(self, url: str) -> None:
        looking.forget(url)
        name = urlsplit(url).path[1:]
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, database: str) -> str:
        return urlunsplit(urlsplit(self._admin_url)._replace(path=f"/{database}"))
