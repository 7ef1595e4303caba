"""A supervisor's own row among all machines': what is to be written there, and what is asked by it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from consumers.database.connection import Connection
from consumers.machines.samples import Sample, prune, write
from consumers.machines.supervisors import Home, Wish, answer, leave, tell


class Roster:
    """Between the supervisor's loop, which says and answers, and the thread that looks at the database.

    `said` and `samples` are replaced by the loop; None: nothing is written.
    """

    def __init__(self, folder: Path, host: str = "") -> None:
        self.home = Home(host or socket.gethostname(), str(folder.resolve()))
        self.said: Mapping[str, Any] | None = None
        self.samples: tuple[Sample, ...] = ()
        self._pruned = 0
        self._asked: SimpleQueue[Wish] = SimpleQueue()
        self._answers: SimpleQueue[tuple[str, Mapping[str, Any]]] = SimpleQueue()
        self._latest = ""

    def exchange(self, connection: Connection) -> None:
        """By the thread: write what is to be written, take what is asked. Raises psycopg.Error."""
        while (given := _next(self._answers)) is not None:
            answer(connection, self.home, *given)
        if self.said is None:
            return
        request = tell(connection, self.home, self.said)
        if request is not None and request.number != self._latest:
            self._latest = request.number
            self._asked.put(request)
        self._keep(connection, self.samples)

    def _keep(self, connection: Connection, samples: tuple[Sample, ...]) -> None:
        write(connection, self.home.host, f"consume {os.getpid()}", samples)
        if samples and samples[-1].minute != self._pruned:
            prune(connection)
            self._pruned = samples[-1].minute

    def leave(self, connection: Connection) -> None:
        """By the thread: it has ended. Raises psycopg.Error."""
        leave(connection, self.home)

    def asked(self) -> Wish | None:
        """By the loop: what is to be done next, if there is something."""
        request: Wish | None = _next(self._asked)
        return request

    def answer(self, request: Wish, said: Mapping[str, Any]) -> None:
        """By the loop: what came of it."""
        self._answers.put((request.number, said))


def _next(queue: SimpleQueue[Any]) -> Any:
    try:
        return queue.get_nowait()
    except Empty:
        return None
