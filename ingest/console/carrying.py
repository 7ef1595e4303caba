"""Replays that a console has begun are carried out by processes of their own: they outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import structlog

from schemas.settings import Settings

_PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1
_TOLD: Final = 2000
"""Characters of what one said last, of how it ended."""


@dataclass(slots=True)
class Carriers:
    """Starts `chef-ingest dead replays resume N`, which whoever looks at the replay can pause and stop; and remembers
    what each said at its end."""

    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _ended: dict[int, str] = field(default_factory=dict)

    def carry(
        self, settings: Settings, state: Path, number: int, who: str, why: str | None, taken: Callable[[], bool]
    ) -> None:
        """Carry out this replay, from where it stopped; who and why are for its letters' histories. Returns once it is
        `taken`, or its process has ended, or a moment later."""
        if not self._over(number):
            return
        urls = {"AMQP_URL": settings.amqp_url, "DATABASE_URL": settings.database_url, "INGEST_STATE": str(state)}
        argv = [sys.executable, "-P", "-m", "ingest", "dead", "replays", "resume", str(number), f"--as={who}"]
        argv += [f"--why={why}"] if why else []
        # A file and not a pipe: who writes into a pipe that nobody reads any more is ended.
        said = tempfile.TemporaryFile()  # noqa: SIM115
        process = subprocess.Popen(
            argv,
            env=os.environ | urls,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        self._ended.pop(number, None)
        self._running[number] = process
        threading.Thread(target=self._await, args=(number, process, said), daemon=True).start()

        until = time.monotonic() + _PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < until and not taken():
            time.sleep(_POLL_SECONDS)

    def _over(self, number: int) -> bool:
        """Whether none of our processes carries it out, or one has ended within a moment: it may be leaving."""
        before = self._running.get(number)
        with suppress(subprocess.TimeoutExpired):
            return before is None or before.wait(_PATIENCE_SECONDS) is not None
        return False

    def starting(self, number: int) -> bool:
        """Its process is there, whether it has told of itself yet or not."""
        process = self._running.get(number)
        return process is not None and process.poll() is None

    def last_words(self, number: int) -> str:
        """What its process said at its end, where that was no good one; empty of any other."""
        return self._ended.get(number, "")

    def _await(self, number: int, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        with said:
            code = process.wait()
            said.seek(max(0, said.seek(0, os.SEEK_END) - _TOLD))
            text = said.read().decode("utf-8", "replace").strip()
        if code not in (0, 1):
            self._ended[number] = text or f"exit code {code}"
        if self._running.get(number) is process:
            del self._running[number]
        structlog.get_logger("ingest.console").info("replay_ended", replay=number, exit_code=code, said=text)
