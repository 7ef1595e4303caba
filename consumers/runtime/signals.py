"""Signals: heeded until the process has ended, or an inbox that wakes the loop's selector."""

from __future__ import annotations

import atexit
import contextlib
import signal
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable, Collection


def heed(numbers: Collection[int], handle: Callable[[int], object]) -> None:
    """`handle(number)` at each of `numbers` from now on; while the process ends they do nothing.

    Ending, the interpreter takes handlers away before it is done: one more SIGTERM would then make an orderly
    stop look like a death by signal 15. What is ignored by then stays ignored. Only in the main thread.
    """
    for each in numbers:
        signal.signal(each, lambda number, _frame: handle(number))
    atexit.register(_ignore, tuple(numbers))


def heed_in(loop: AbstractEventLoop, numbers: Collection[int], handle: Callable[[], object]) -> None:
    """`handle()` in `loop` at each of `numbers`; nothing once that is closed, when its own handlers are gone too."""

    def pass_on(_number: int) -> None:
        with contextlib.suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(handle)

    heed(numbers, pass_on)


def _ignore(numbers: Collection[int]) -> None:
    for each in numbers:
        signal.signal(each, signal.SIG_IGN)


class SignalInbox:
    """Collects `numbers` from construction until `close`; only in the main thread."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        # The interpreter writes each signal's number here. Two of a kind that come at once may be one to the
        # kernel, but no longer to us.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        heed(numbers, lambda _: None)

    def fileno(self) -> int:
        """For a selector."""
        return self._reader.fileno()

    def take(self) -> list[int]:
        """Those that have come since, in order."""
        with contextlib.suppress(BlockingIOError):
            return list(self._reader.recv(4096))
        return []

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()
