"""Child processes of the benchmark: started with a clean environment, watched, and always ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 3.0
"""All is stored and acked by then: who is slower to say goodbye is killed."""


class ChildFailed(Exception):
    """A process of the benchmark ended, or did nothing, when it should have worked; with the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and where it writes."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def check(self) -> None:
        """Raises ChildFailed if it has ended."""
        if self.process.poll() is not None:
            raise ChildFailed(f"{self.name} ended with status {self.process.returncode}:\n{self.log_end()}")

    def log_end(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:]

    def peak_mb(self) -> float:
        """Most memory it ever had resident (VmHWM), MB; 0 when it is gone."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return 0.0
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not heed it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> Child:
    """Start one; its standard input and output are ours, its log gets the rest."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    with log.open("w") as out:
        process = subprocess.Popen(
            argv,
            env={**inherited, "PYTHONPATH": str(ROOT), **env},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
        )
    return Child(name, process, log)


@contextlib.contextmanager
def running(commands: Mapping[str, Sequence[str]], env: Mapping[str, str], folder: Path) -> Iterator[list[Child]]:
    """Processes by name, for the length of a `with`."""
    children: list[Child] = []
    try:
        for name, argv in commands.items():
            children.append(start(name, argv, env, folder / f"{name.replace(' ', '-')}.log"))
        yield children
    finally:
        for child in children:
            child.process.terminate()
        for child in children:
            child.stop()


def finished(children: Sequence[Child], seconds: float) -> list[str]:
    """What each printed, once all have ended well. Raises ChildFailed."""
    until = time.monotonic() + seconds
    said = []
    for child in children:
        try:
            out, _ = child.process.communicate(timeout=max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{child.name} did not end in {seconds:g} s:\n{child.log_end()}") from None
        if child.process.returncode != 0:
            child.check()
        said.append(out)
    return said
