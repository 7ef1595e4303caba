"""A command of ours as a process whose log is kept, event by event."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tests.patience import LONG


class LoggingProcess:
    """`chef-ingest ARGUMENTS` while the test runs; `log` is what it has logged so far."""

    def __init__(self, *arguments: str, env: Mapping[str, str], new_session: bool = False) -> None:
        self.log: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ingest", *arguments],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=new_session,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": "text", "text": line})

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one name logged so far."""
        return [each for each in self.log if each["event"] == name]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(LONG)
        finally:
            self.process.kill()
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status
