"""Signals as an inbox: each wakes the loop's selector and waits there to be obeyed."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable


class SignalInbox:
    """Collects `numbers` from construction until `close`; only in the main thread."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        # The interpreter writes each signal's number here. Two of a kind that come at once may be one to the
        # kernel, but no longer to us.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

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
