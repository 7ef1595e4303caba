"""Says what a start is doing: on a terminal behind something that turns, elsewhere in plain lines."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status


class Steps:
    """On `console`, while the block runs; `say` is a line that stays, `doing` what takes a while."""

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
