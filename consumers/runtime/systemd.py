"""Tells systemd how we are, by the sd_notify protocol; where nobody listens it costs nothing."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Speaks to `NOTIFY_SOCKET`. `watchdog_seconds` is how often systemd wants to hear of progress; 0: never.

    Source: sd_notify(3), sd_watchdog_enabled(3).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        microseconds = environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdecimal() and self._address else 0.0

    def ready(self, status: str = "") -> None:
        """Started, or done with a reload."""
        self._say("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We are on our way out."""
        self._say("STOPPING=1")

    def alive(self, status: str = "") -> None:
        """There was progress; only now is the watchdog fed."""
        self._say("WATCHDOG=1", *_status(status))

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ is an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # systemd gone or slow is no reason for us to stop.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.connect(address)
            line.send("\n".join(lines).encode())


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={text}",) if text else ()
