"""A private PostgreSQL cluster: made once, started, stopped and killed at will; its data is one folder."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from consumers.database import statements
from consumers.runtime import durable
from ingest.local.processes import Account, Identity, Process, ProcessFailed, ProcessLedger, end, identify, run

DATABASE: Final = "ingest"
USER: Final = "ingest"
READY_SECONDS: Final = 120.0

# Roomy for ingestion, honest about durability: fsync and synchronous_commit stay as they are, on.
SETTINGS: Final = """
# Private local stack of chef-ingest.
unix_socket_directories = ''
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
"""

STOP_SIGNALS: Final[Mapping[str, int]] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class Postgres:
    """The cluster in `folder`, listening on 127.0.0.1:`port` (TCP only: socket paths are short-lived and short)."""

    def __init__(
        self,
        *,
        binaries: Path,
        folder: Path,
        log: Path,
        port: int,
        password: str,
        account: Account | None,
        ledger: ProcessLedger,
        path: str,
        new_password: bool = False,
    ) -> None:
        """`new_password`: the cluster may know another one than this."""
        self.folder = folder
        self.url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"
        self._binaries = binaries
        self._password = password
        self._new_password = new_password
        self._account = account
        # Nothing of ours leaks in: PGDATA, PGOPTIONS or a locale that the machine does not have.
        self._env = {"PATH": f"{binaries}:{path}", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
        self.process = Process(
            "postgres",
            [str(binaries / "postgres"), "-D", str(folder), "-p", str(port)],
            env=self._env,
            log=log,
            account=account,
            ledger=ledger,
            stop_signal=STOP_SIGNALS["fast"],
        )

    def spawn(self) -> None:
        """Makes the cluster if there is none and starts it, without waiting until it is ready."""
        if not self.folder.exists():
            self._create()
        self._drop_stale_lock()
        if self._new_password:
            altering = statements.load("ingest.local", "postgres.sql")["set_password"]
            altering = altering.replace("{password}", self._password) + "\n"
            self._run("postgres", "--single", "-D", str(self.folder), "template1", stdin=altering)
        self.process.spawn()

    def wait_ready(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Returns when connections are taken; raises ProcessFailed, and what `given_up`, asked meanwhile, raises."""
        self.process.wait_ready(lambda: given_up() or self._is_ready(), READY_SECONDS)

    def start(self) -> None:
        """`spawn`, then `wait_ready`."""
        self.spawn()
        self.wait_ready()

    def stop(self, mode: str = "fast") -> None:
        """Stops it as `pg_ctl stop -m MODE` would: smart, fast or immediate."""
        self.process.stop(STOP_SIGNALS[mode])

    def kill(self) -> None:
        """SIGKILL to the postmaster and all its children at once, like a power cut."""
        family = [] if self.process.pid is None else _children(self.process.pid)
        self.process.kill()
        for each in family:
            end(each, signal.SIGKILL, 0)

    def _create(self) -> None:
        # Made beside its place and renamed when complete: a killed run leaves no half of a cluster.
        fresh = self.folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        password = self.folder.with_suffix(".password")
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(self._password)
        self._own(password)
        try:
            self._run(
                "initdb", "-D", str(fresh), f"--username={USER}", f"--pwfile={password}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
            )  # fmt: skip
        finally:
            password.unlink()
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write(SETTINGS + self._wal_compression(fresh))
            conf.flush()
            os.fsync(conf.fileno())
        creating = statements.load("ingest.local", "postgres.sql")["create_database"]
        self._run("postgres", "--single", "-D", str(fresh), "template1", stdin=creating + "\n")
        fresh.rename(self.folder)
        durable.sync_folder(self.folder.parent)

    def _wal_compression(self, folder: Path) -> str:
        try:  # lz4 is a choice of whoever built PostgreSQL
            self._run("postgres", "-D", str(folder), "-c", "wal_compression=lz4", "-C", "wal_compression")
        except ProcessFailed:
            # Not `on`, which is pglz: an id costs nine times what it does with `off`, for no smaller pages [measured].
            return "wal_compression = off\n"
        return "wal_compression = lz4\n"

    def _is_ready(self) -> bool:
        # The postmaster itself writes its state into the 8th line [pg_ctl.c, wait_for_postmaster_start].
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def _drop_stale_lock(self) -> None:
        # After a reboot another process may have the old postmaster's pid; PostgreSQL would refuse to start.
        lock = self.folder / "postmaster.pid"
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
        except OSError:
            return
        except ValueError:
            # Empty since a power cut: nobody's, the folder is ours.
            lock.unlink(missing_ok=True)
            return
        try:
            stale = Path(f"/proc/{pid}/comm").read_text().strip() != "postgres"
        except OSError:
            stale = True
        if stale:
            lock.unlink(missing_ok=True)

    def _own(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def _run(self, program: str, *args: str, stdin: str = "") -> str:
        return run([str(self._binaries / program), *args], env=self._env, account=self._account, stdin=stdin)


def _children(parent: int) -> list[Identity]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        identity = identify(int(stat.parent.name)) if int(fields[1]) == parent else None
        if identity is not None:
            found.append(identity)
    return found
