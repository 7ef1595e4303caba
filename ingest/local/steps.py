"""The course of a start: what it is doing is said, and Ctrl-C ends it between two steps."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from consumers.runtime.signals import heed


class Steps:
    """On `console`, while the block runs; `say` is a line that stays, `doing` what takes a while: on a terminal behind
    something that turns, elsewhere a line too."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Of ASCII alone: any terminal, font and encoding has it.
        turns = console.file.isatty() and console.is_interactive
        self._status = Status("", console=console, spinner="line") if turns else None

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def doing(self, what: str) -> None:
        if self._status is None:
            self.say(what)
        else:
            self._status.update(what)

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()


class Interrupted(Exception):
    """Somebody has told us to stop before everything ran."""


class Interrupt:
    """Hears SIGINT and SIGTERM from now on; the first of them is `number`."""

    def __init__(self) -> None:
        self.number = 0
        self._told = threading.Event()
        heed([signal.SIGINT, signal.SIGTERM], self._hear)

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

    def _hear(self, number: int) -> None:
        self.number = self.number or number
        self._told.set()
