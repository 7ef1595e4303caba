"""What the connections of one server share: the application, limits, memory, clock, and the states they can be in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from enum import Enum
from typing import Protocol

from starlette.types import ASGIApp

from ingest.http.answers import Answer
from ingest.http.limits import Held, Limits


class ConnectionState(Enum):
    """What is waited for. `WORKING` alone is ours; in each other one the client has so long, and then it ends."""

    SILENT = "the first byte"
    HEAD = "the rest of a header"
    BODY = "the rest of a body"
    WORKING = "the application"
    WRITING = "the client to read its answer"
    DRAINING = "the end of a body that is answered"
    KEPT = "another request"
    LINGERING = "the client to see its last answer"
    CLOSED = "nothing"


class Timed(Protocol):
    """A connection, as whoever counts and ends them sees it. `due` is when its state has lasted too long."""

    state: ConnectionState
    due: float

    def late(self) -> None:
        """The state has lasted as long as it may."""

    def shutdown(self) -> None:
        """No further request; those that are here, or on their way, are answered."""


class Service:
    """What the connections of one server share. `refused` is told of answers given before there was a request."""

    def __init__(self, app: ASGIApp, limits: Limits, refused: Callable[[Answer], None]) -> None:
        self.app = app
        self.limits = limits
        self.held = Held(limits.held_bytes)
        self.refused = refused
        self.connections: dict[Timed, None] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.now: Callable[[], float] = time.monotonic
        self.stopping = False
        self._date = (0, b"")

    def date(self) -> bytes:
        """The header field of this second."""
        second = int(time.time())
        if self._date[0] != second:
            self._date = second, b"date: %s\r\n" % formatdate(second, usegmt=True).encode()
        return self._date[1]

    def tick(self) -> None:
        """End what has lasted too long; called a few times in each limit."""
        now = self.now()
        for each in list(self.connections):
            if each.due < now:
                each.late()
