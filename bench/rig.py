"""What every measurement works with: a private stack on fresh data, the peers' programs, the results."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import broker, calm, tables
from bench.children import ROOT
from bench.results import Results
from ingest.local.processes import Process
from ingest.local.stack import LocalStack

_WAL: Final = ("checkpoint_timeout = '1h'", "max_wal_size = '16GB'", "min_wal_size = '4GB'")


@dataclass(frozen=True, slots=True)
class Rig:
    """The servers' URLs and pids by name, a folder for logs and the peers' installations (`home`), where figures go,
    and who says whether they count."""

    home: Path
    amqp_url: str
    database_url: str
    gauge: broker.Gauge
    results: Results
    servers: Mapping[str, Sequence[int]]
    guard: calm.Guard

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def measured(self, measure: Callable[[], None]) -> None:
        """Do it on a calm machine, again if it was not one; what it adds to the results is marked if it never was."""
        self.guard.measured(self.results, measure)


@contextlib.contextmanager
def fresh(home: Path, patience: float, segments: int, say: Callable[[str], None]) -> Iterator[Rig]:
    """A rig whose servers start empty and end with the `with`. `patience` is the guard's, `segments` the WAL's."""
    state = home / "stack"
    data = state / "data"
    if data.is_symlink():
        shutil.rmtree(data.resolve(), ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        # Before the servers are there: what it takes now is what it takes when nothing of ours is at work.
        guard = calm.Guard(undo.enter_context(calm.machine(home / "logs")), patience, say)
        stack = LocalStack(state, environ=os.environ, say=say)
        urls = stack.start()
        undo.callback(stack.stop)
        _give_room(stack, segments)
        tables.prepare(urls.database_url)
        broker.prepare(urls.amqp_url)
        gauge = broker.Gauge(urls.amqp_url)
        undo.callback(gauge.close)
        assert stack.rabbit is not None
        assert stack.postgres is not None
        servers = {"RabbitMQ": [_pid(stack.rabbit.process)], "PostgreSQL": [_pid(stack.postgres.process)]}
        yield Rig(home, urls.amqp_url, urls.database_url, gauge, Results(say), servers, guard)


def _pid(process: Process) -> int:
    assert process.pid is not None
    return process.pid


def _give_room(stack: LocalStack, segments: int) -> None:
    """For everybody, a database server's usual quarter of the machine's memory [PostgreSQL manual, 20.4.1], and no
    checkpoint but one that a measurement wants: by itself one would fall on this contender or that. So many segments of
    the WAL are old ones, as on a server that has been up for a while."""
    assert stack.postgres is not None
    megabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 // 2**20
    with tables.open_database(stack.postgres.url) as database:
        for setting in (f"shared_buffers = '{megabytes}MB'", *_WAL):
            database.execute(f"ALTER SYSTEM SET {setting}".encode())
    stack.postgres.stop()
    stack.postgres.start()
    tables.recycle_wal(stack.postgres.url, segments)


def install_peers(home: Path, say: Callable[[str], None]) -> None:
    """The peers' packages, in a virtual environment and a node_modules of their own; only when they changed."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitignore").write_text("*\n")
    python = home / "venv" / "bin" / "python"
    steps = {
        "requirements.txt": [
            [sys.executable, "-m", "venv", str(home / "venv")],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"],
        ],
        "package.json": [["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home)]],
    }
    for file, commands in steps.items():
        wanted = ROOT / "bench" / file
        stamp = home / f"{file}.installed"
        fingerprint = hashlib.sha256(wanted.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == fingerprint:
            continue
        say(f"installing the peers' packages ({file}) into {home}")
        shutil.copy(wanted, home / file)
        commands[-1] += [str(home / file)] if file == "requirements.txt" else []
        for command in commands:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(fingerprint)
