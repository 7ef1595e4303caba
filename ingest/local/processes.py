"""Starts child processes, knows when they are ready, stops them, and recognises them after a crash of their parent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from consumers.runtime import durable

POLL_SECONDS: Final = 0.02
KILL_SECONDS: Final = 10.0
"""How long the kernel may take to end a process after SIGKILL before we give up on it."""


class ProcessFailed(Exception):
    """A child process could not be started, died before it was ready, or was not ready in time."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a child runs as, when it is not ours."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, never mistaken for a later one with its number: pid, and when and in which boot it began."""

    pid: int
    started: str

    def is_running(self) -> bool:
        """False once it has ended, even if its number lives on in another process or a zombie."""
        return identify(self.pid) == self


def run(argv: Sequence[str], *, env: Mapping[str, str], account: Account | None, stdin: str = "") -> str:
    """Runs a server's tool to its end, as `account`; its output. Raises ProcessFailed with what it said."""
    done = subprocess.run(
        argv,
        env=dict(env),
        input=stdin,
        capture_output=True,
        text=True,
        cwd="/",
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise ProcessFailed(f"{Path(argv[0]).name} {' '.join(argv[1:2])} ended with status {done.returncode}: {said}")
    return done.stdout


def identify(pid: int) -> Identity | None:
    """Who has this pid now; None for nobody or a zombie. Source: /proc/PID/stat, fields 3 and 22 [proc(5)]."""
    try:
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else Identity(pid, f"{boot}/{fields[19]}")


def end(identity: Identity, stop_signal: int, seconds: float) -> None:
    """Stops a process that may not be our child: asks, waits `seconds`, then kills."""
    for number, patience in ((stop_signal, seconds), (signal.SIGKILL, KILL_SECONDS)):
        deadline = time.monotonic() + patience
        if not identity.is_running():
            return
        _send(identity.pid, number)
        _send(identity.pid, signal.SIGCONT)  # a stopped process does not hear the first one
        while identity.is_running():
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
    if identity.is_running():
        raise ProcessFailed(f"process {identity.pid} does not end, not even by SIGKILL: look at it with `ps`")


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _private(log: Path) -> BinaryIO:
    """A log to go on with, for nobody else's eyes: names of whoever reports are in it."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    file = os.fdopen(descriptor, "ab")
    file.seek(0, os.SEEK_END)
    return file


class ProcessLedger:
    """The processes that were started for one state folder, in a file that survives a killed parent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, tuple[int, str, int]] = {}

    def add(self, name: str, identity: Identity, stop_signal: int) -> None:
        self._rows[name] = (identity.pid, identity.started, stop_signal)
        self._write()

    def remove(self, name: str) -> None:
        if self._rows.pop(name, None) is not None:
            self._write()

    def end_leftovers(self, say: Callable[[str], None], seconds: float = 20.0) -> None:
        """Stops, youngest first, what an earlier owner left running; a stranger with a reused pid is spared."""
        try:
            rows = json.loads(self._path.read_text())
        except (OSError, ValueError):
            rows = {}
        for name, (pid, started, stop_signal) in reversed(rows.items()):
            identity = Identity(pid, started)
            if identity.is_running():
                say(f"stopping {name} (process {pid}), left over from a run that was killed")
                end(identity, stop_signal, seconds)
        self._write()

    def _write(self) -> None:
        durable.write(self._path, json.dumps(self._rows))


class Process:
    """One child in a session of its own, so that a terminal's Ctrl-C reaches us and not it.

    `env` is its whole environment. Output goes to the end of `log`; with `log` None it shares our
    standard error. `stop_signal` asks it to end; it is sent as well when we die without a word. `pass_fds` are
    descriptors that it inherits, `cwd` the folder from which it reads what its settings name by a relative path.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        ledger: ProcessLedger,
        log: Path | None = None,
        account: Account | None = None,
        stop_signal: int = signal.SIGTERM,
        stop_seconds: float = 30.0,
        pass_fds: Sequence[int] = (),
        cwd: str = "/",
    ) -> None:
        self.name = name
        self.log = log
        self._argv = list(argv)
        self._env = dict(env)
        self._ledger = ledger
        self._account = account
        self._stop_signal = stop_signal
        self._stop_seconds = stop_seconds
        self._pass_fds = tuple(pass_fds)
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The running child's pid, or None."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def poll(self) -> int | None:
        """The exit status of the last child (negative: the signal); None while it runs or before the first."""
        return None if self._child is None else self._child.poll()

    def spawn(self) -> None:
        """Starts the child and records it; raises ProcessFailed when there is no such program."""
        if self.pid is not None:
            return
        output = None if self.log is None else _private(self.log)
        self._log_start = 0 if output is None else output.tell()
        account = self._account
        try:
            self._child = subprocess.Popen(
                [*self._lifeline(), *self._argv],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=2 if output is None else output,
                stderr=2 if output is None else output,
                start_new_session=True,
                pass_fds=self._pass_fds,
                cwd=self._cwd,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
            )
        except OSError as error:
            raise ProcessFailed(f"{self.name}: can't run {self._argv[0]}: {error}") from error
        finally:
            if output is not None:
                output.close()
        identity = identify(self._child.pid)
        if identity is not None:
            self._ledger.add(self.name, identity, self._stop_signal)

    def wait_ready(self, probe: Callable[[], bool], seconds: float) -> None:
        """Returns once `probe` is true; raises ProcessFailed, with the log's end, on death or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not probe():
            status = self.poll()
            if status is not None:
                raise ProcessFailed(f"{self.name} ended with status {status} before it was ready{self.tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} was not ready within {seconds:g} s{self.tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self, stop_signal: int | None = None) -> int | None:
        """Asks the child to end, kills it after `stop_seconds`; its exit status. Harmless when it is gone."""
        if self._child is None:
            return None
        if self._child.poll() is None:
            self._child.send_signal(stop_signal or self._stop_signal)
            self._child.send_signal(signal.SIGCONT)
            try:
                self._child.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
        status = self._child.wait()
        self._ledger.remove(self.name)
        return status

    def kill(self) -> None:
        """SIGKILL, as a test of what a crash leaves behind."""
        self.stop(signal.SIGKILL)

    def tail(self, lines: int = 15) -> str:
        """The last lines that this child logged, ready to be appended to a message."""
        if self.log is None:
            return ""
        try:
            with self.log.open("rb") as file:
                file.seek(self._log_start)
                text = file.read().decode(errors="replace").strip()
        except OSError:
            return ""
        end_of_log = "\n  ".join(text.splitlines()[-lines:])
        return f"; the end of {self.log}:\n  {end_of_log}" if end_of_log else f"; {self.log} is empty"

    def _lifeline(self) -> list[str]:
        # The kernel tells a child of its parent's death, but by parent it means the *thread*
        # that started it: only the main thread lives as long as the process.
        setpriv = shutil.which("setpriv", path=self._env.get("PATH"))
        if setpriv is None or threading.current_thread() is not threading.main_thread():
            return []
        return [setpriv, "--pdeathsig", signal.Signals(self._stop_signal).name.removeprefix("SIG"), "--"]
