"""Ctrl-C and SIGTERM as something to be asked for, at moments of our own choice."""

from __future__ import annotations

import signal
import threading


class Interrupted(Exception):
    """Somebody has told us to stop before everything ran."""


class Interrupt:
    """Hears SIGINT and SIGTERM from now on; the first of them is `number`."""

    def __init__(self) -> None:
        self.number = 0
        self._told = threading.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._hear)

    def __bool__(self) -> bool:
        return self._told.is_set()

    def check(self) -> bool:
        """False; raises Interrupted once we were told: in a probe that is asked again and again, it ends the wait."""
        if self:
            raise Interrupted
        return False

    def wait(self, seconds: float) -> bool:
        """Whether we were told, at the latest after so many seconds."""
        return self._told.wait(seconds)

    def _hear(self, number: int, _frame: object) -> None:
        self.number = self.number or number
        self._told.set()
