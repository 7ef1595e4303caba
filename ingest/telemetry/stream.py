"""A log that never stops who writes it: what its reader can't take, in time or at all, is dropped and counted."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 0.5
"""How long a reader that keeps up no more is waited for, once, before lines are dropped."""


class LogStream:
    """Whole lines to a descriptor (a file, a pipe, a socket of the journal, a terminal); closed, full: it goes on."""

    def __init__(self, descriptor: int) -> None:
        self._send: Callable[[bytes], int]
        self._descriptor = descriptor
        self._patient = True
        self._dropped = 0
        try:
            self._send = _sender(descriptor)
        except OSError:
            self._send = len

    def write(self, line: bytes) -> int:
        """Write a line; never raises, and never waits for long."""
        told = b'\n{"event": "log lines dropped", "level": "warning", "lines": %d}\n' % self._dropped
        try:
            written = self._write(told + line if self._dropped else line)
        except (OSError, ValueError):
            written = False
        self._dropped = 0 if written else self._dropped + 1
        return len(line)

    def flush(self) -> None:
        """Nothing is kept back."""

    def _write(self, line: bytes) -> bool:
        while line:
            try:
                line = line[self._send(line) :]
                self._patient = True
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                if not self._patient or not poll.poll(PATIENCE_SECONDS * 1000):
                    self._patient = False
                    return False
        return True


def _sender(descriptor: int) -> Callable[[bytes], int]:
    """What writes to a descriptor without waiting, though others may share it and wait. Raises OSError."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        line = socket.socket(fileno=os.dup(descriptor))
        return lambda data: line.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        # Opened anew: whether to wait is a property of what was opened, which we share with who started us.
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            own = os.open(f"/proc/self/fd/{descriptor}", flags)
            return lambda data: os.write(own, data)
    return lambda data: os.write(descriptor, data)
