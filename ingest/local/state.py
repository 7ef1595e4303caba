"""The state folder: who owns it, what it remembers between runs, and where a running stack listens."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import secrets
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from consumers.runtime import durable
from ingest.local.processes import Account, Identity, identify

OUTSIDE: Final = Path("/var/lib/chef-ingest")
"""Where root's data goes when servers that run as somebody else can't reach the state folder."""
PORTS: Final = range(20000, 32000)
"""Below the range of outgoing connections (32768 and up on Linux), so that nobody takes a stopped server's port."""


class StateError(Exception):
    """The state folder can't be used: somebody else's, busy, or no stack runs on it."""


class StateFolder:
    """One folder, owned by one process at a time.

    `state.json` keeps ports and passwords, `running.json` the URLs while a stack is up,
    `data` the servers' data (a link out of the folder where they could not reach it), `logs` their logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Makes the folder and takes it; raises StateError when another process has it."""
        try:
            # Searchable for the servers' users, not listable; what is secret has a mode of its own.
            self.logs.mkdir(parents=True, exist_ok=True)
            # Logs hold names of whoever reports; servers write to what we have opened for them.
            self.logs.chmod(0o700)
            if os.geteuid() == 0:
                self.folder.chmod(0o711)
            lock = os.fdopen(os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
            os.fchmod(lock.fileno(), 0o600)
        except OSError as error:
            raise StateError(f"can't use the state folder {self.folder}: {error}; name another") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner, _, phase = lock.read().strip().partition(" ")
            lock.close()
            raise StateError(self._taken(owner or "unknown", phase)) from None
        self._lock = lock
        self.enter("starting")

    def enter(self, phase: str) -> None:
        """Tells whoever finds the folder taken how far we are: `starting`, `running` or `stopping`; from then on no
        other command uses what is being stopped."""
        assert self._lock is not None
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(f"{os.getpid()} {phase}")
        self._lock.flush()
        if phase == "stopping":
            (self.folder / "running.json").unlink(missing_ok=True)

    def _taken(self, owner: str, phase: str) -> str:
        if phase in ("starting", "stopping"):
            what = "being started" if phase == "starting" else "being stopped"
            return (
                f"a local stack is {what} on {self.folder} (process {owner}): "
                "wait until it is, or name another state folder"
            )
        url = self._read("running.json").get("urls", {}).get("ingest_url", "")
        return (
            f"a local stack already runs on {self.folder} (process {owner})" + (f", at {url}" if url else "") + ": "
            "use it, stop it, or name another state folder"
        )

    def begin_logs(self) -> None:
        """Each log begins afresh; that of the run before is kept beside it, with `.1` at its end."""
        for log in self.logs.glob("*.log"):
            log.replace(log.with_name(f"{log.name}.1"))

    def release(self) -> None:
        """Gives the folder back; what it remembers stays."""
        (self.folder / "running.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def port(self, name: str) -> int:
        """A free loopback port: the one of last time if it still is."""
        kept = self._read("state.json")
        port = self.port_kept(name)
        taken = {value for key, value in kept.items() if key.endswith("_port") and key != f"{name}_port"}
        if port is None or not _is_free(port):
            port = next(each for each in random.sample(PORTS, len(PORTS)) if each not in taken and _is_free(each))
            self._write("state.json", {**kept, f"{name}_port": port})
        return port

    def port_kept(self, name: str) -> int | None:
        """The port that was last given out under this name."""
        port = self._read("state.json").get(f"{name}_port")
        return port if isinstance(port, int) else None

    def secret(self, name: str, found: str = "") -> str:
        """A random word (32 hex digits), the same in every run on this folder; `found` instead of a new one."""
        kept = self._read("state.json")
        if name not in kept:
            kept[name] = found or secrets.token_hex(16)
            self._write("state.json", kept)
        return str(kept[name])

    def remembers(self, name: str) -> bool:
        """Whether there is such a secret already."""
        return name in self._read("state.json")

    def data(self, accounts: Iterable[Account | None]) -> Path:
        """The folder for the servers' data, reachable for all `accounts`.

        Where a parent folder keeps them out (root's home, say), the data is put under `OUTSIDE`
        and `data` is a symbolic link to it: no permission of a parent is ever widened.
        """
        inside = self.folder / "data"
        if not inside.is_symlink() and not inside.exists():
            if all(_reaches(account, self.folder) for account in accounts):
                inside.mkdir()
            else:
                outside = OUTSIDE / secrets.token_hex(6)
                outside.mkdir(parents=True)
                durable.write(outside / "state-folder", f"{self.folder}\n")
                inside.symlink_to(outside)
        data = inside.resolve()
        if not data.is_dir():
            raise StateError(f"{inside} leads to {data}, which is gone: remove the link to start afresh")
        if os.geteuid() == 0:
            data.chmod(0o711)
        return data

    def publish(self, **urls: str) -> None:
        """Adds to what `read_environment` tells others: `publish(ingest_url=...)`."""
        me = identify(os.getpid())
        assert me is not None
        told = {**self._read("running.json").get("urls", {}), **urls}
        self._write("running.json", {"pid": me.pid, "started": me.started, "urls": told})

    def _read(self, name: str) -> dict[str, Any]:
        return _read_json(self.folder / name)

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        durable.write(self.folder / name, json.dumps(value, indent=1))


def read_environment(folder: Path) -> dict[str, str]:
    """`AMQP_URL`, `DATABASE_URL`, `INGEST_URL` of the stack that runs on `folder`; StateError when none does."""
    path = folder / "running.json"
    try:
        running = _read_json(path)
        # A folder in the way that somebody else has made must not say where our messages and passwords go.
        if running and path.stat().st_uid not in (0, os.geteuid()):
            raise PermissionError(errno.EPERM, "not ours", str(path))
    except PermissionError as error:
        raise StateError(f"{error.filename} belongs to another user: ask as the one who started it") from error
    if not running or not Identity(running["pid"], running["started"]).is_running():
        raise StateError(f"no local stack runs on {folder}: start one with `chef-ingest up --state {folder}`")
    return {name.upper(): url for name, url in running["urls"].items()}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        # Empty: a power cut came before its content was on the disk.
        value = json.loads(text) if text.strip("\0 \n") else {}
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StateError(f"{path} is damaged ({error}): remove it") from error
    return value if isinstance(value, dict) else {}


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # What a stopped server's old connections still hold is free enough for its successor.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reaches(account: Account | None, folder: Path) -> bool:
    """Whether that user can enter the folder: asked of the kernel, as that user."""
    if account is None:
        return True
    enter = ["/bin/sh", "-c", 'cd "$1" 2>/dev/null', "sh", str(folder)]
    done = subprocess.run(enter, cwd="/", user=account.uid, group=account.gid, extra_groups=[], check=False)
    return done.returncode == 0
