"""Breaks a database connection whose server has fallen silent, so that what waits for it fails as in an outage."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import structlog

_LOOK_SECONDS: Final = 1.0


class Deadline:
    """Watches stretches of work on a connection; one that takes longer than `seconds` loses its socket.

    Timeouts of the server's own do not help against a server that is gone, nor does TCP's keepalive when what is
    left of it is a proxy: only the client's clock does.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched: tuple[float, psycopg.Connection[Any]] | None = None
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limited(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """What is done in the `with` is done in time, or fails with psycopg.OperationalError."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="silence", daemon=True)
            self._thread.start()
        self._watched = (time.monotonic() + self._seconds, connection)
        try:
            yield
        finally:
            self._watched = None

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            watched = self._watched
            if watched is not None and time.monotonic() > watched[0]:
                structlog.get_logger().warning("database silent: connection broken", seconds=self._seconds)
                _break(watched[1])
                self._watched = None


def _break(connection: psycopg.Connection[Any]) -> None:
    # Shut down, not closed: the thread that waits on the descriptor sees its end, and closes it itself.
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)
