"""Queues that operators hold back, on one machine or everywhere: no worker consumes them until they are resumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from consumers.database import statements
from consumers.database.connection import Connection
from schemas.topology import DEAD, QUARANTINE, QUEUES

PAUSABLE: Final = (*QUEUES, QUARANTINE, DEAD)
"""The queues whose messages are stored. Pings go on: a shim is ready, and answers 202, while all of these wait."""
EVERY_QUEUE: Final = ""
EVERYWHERE: Final = ""

_SQL: Final = statements.lazily("consumers.machines", "machines.sql")


class Pause(NamedTuple):
    """A queue, or every queue, held back on a machine, or everywhere; by whom, why and since when."""

    queue: str
    host: str
    who: str
    why: str
    since: datetime

    @property
    def text(self) -> str:
        """For a person: what rests where, and why."""
        what = f"queue {self.queue}" if self.queue != EVERY_QUEUE else "every queue"
        where = f" on {self.host}" if self.host != EVERYWHERE else ""
        return f"{what} is paused{where} by {self.who}: {self.why}"

    @property
    def remedy(self) -> str:
        """The command that ends it."""
        return f"chef-ingest resume {self.queue or 'all'}" + (f" --host {self.host}" if self.host else "")

    def described(self) -> dict[str, Any]:
        """One row for status and dumps."""
        return {
            "queue": self.queue or "all",
            "host": self.host or "all",
            "who": self.who,
            "why": self.why,
            "since": self.since,
            "remedy": self.remedy,
        }


def held(pauses: Iterable[Pause], host: str) -> dict[str, Pause]:
    """Queue -> the pause that holds it back on a machine; what names the queue itself is told first."""
    here = sorted((each for each in pauses if each.host in (EVERYWHERE, host)), key=lambda each: each.queue)
    found: dict[str, Pause] = {}
    for each in here:
        found |= dict.fromkeys(PAUSABLE if each.queue == EVERY_QUEUE else (each.queue,), each)
    return found


def pauses(connection: Connection) -> list[Pause]:
    """All there are. Raises psycopg.Error, as all that follow."""
    return [Pause(*row) for row in connection.execute(_SQL()["pauses"].encode())]


def pause(connection: Connection, queues: Sequence[str], host: str, who: str, why: str) -> list[str]:
    """Hold queues back from now on; those that had not been, for this machine or for all."""
    values = {"queues": list(queues), "host": host, "who": who, "why": why}
    return [row[0] for row in connection.execute(_SQL()["pause"].encode(), values)]


def resume(connection: Connection, queues: Sequence[str], host: str) -> list[Pause]:
    """Let go of what was held back by just these pauses; they."""
    found = connection.execute(_SQL()["resume"].encode(), {"queues": list(queues), "host": host})
    return [Pause(*row) for row in found]
