"""A row of each supervisor, by which all machines are seen from one, and asked from there."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from consumers.database import statements
from consumers.database.connection import Connection
from consumers.machines.errors import NotAsked

STALE_SECONDS: Final = 20.0
"""A supervisor writes its row every five seconds; one that has not for so long is gone, or can't."""
PATIENCE_SECONDS: Final = 30.0
"""How long a request waits for a supervisor to see it and to answer; after that it is void."""
_ASK_SECONDS: Final = 0.2

_SQL: Final = statements.lazily("consumers.machines", "machines.sql")


class Home(NamedTuple):
    """Where a supervisor runs: its machine, and the folder of its control socket."""

    host: str
    folder: str

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}"


class Told(NamedTuple):
    """What a supervisor wrote last, so many seconds ago: what `status` shows of it."""

    home: Home
    silent_seconds: float
    said: Mapping[str, Any]

    @property
    def stale(self) -> bool:
        """Whether it has not been heard of for too long."""
        return self.silent_seconds > STALE_SECONDS

    @property
    def in_hand(self) -> int:
        """Messages that its workers hold, or held."""
        return sum(int(row["in_hand"]) for row in self.said.get("workers", ()))


class Wish(NamedTuple):
    """Something asked of a supervisor from elsewhere."""

    number: str
    wants: Mapping[str, Any]


def tell(connection: Connection, home: Home, said: Mapping[str, Any]) -> Wish | None:
    """Write a supervisor's row; what is asked of it. Raises psycopg.Error, as all that follow."""
    values = {**home._asdict(), "said": json.dumps(said, default=str), "patience": PATIENCE_SECONDS}
    row = connection.execute(_SQL()["tell"].encode(), values).fetchone()
    wants = row[0] if row else None
    return Wish(str(wants.pop("number")), wants) if wants else None


def answer(connection: Connection, home: Home, number: str, answer: Mapping[str, Any]) -> None:
    """What came of a request."""
    values = {**home._asdict(), "number": number, "answer": json.dumps({**answer, "number": number})}
    connection.execute(_SQL()["answer"].encode(), values)


def leave(connection: Connection, home: Home) -> None:
    """Take the row away: the supervisor has ended in order."""
    connection.execute(_SQL()["leave"].encode(), home._asdict())


def supervisors(connection: Connection) -> list[Told]:
    """All that have written a row, by machine."""
    found = connection.execute(_SQL()["supervisors"].encode())
    return [Told(Home(host, folder), silent, said) for host, folder, silent, said in found]


def forget(connection: Connection, host: str) -> list[str]:
    """Take away the rows of a machine whose supervisors are not heard of any more; their folders."""
    found = connection.execute(_SQL()["forget"].encode(), {"host": host, "silent": STALE_SECONDS})
    return [row[0] for row in found]


def named(told: Iterable[Told], name: str) -> Told:
    """The supervisor of a machine, by HOST or, where there are several, HOST:FOLDER. Raises NotAsked."""
    every = list(told)
    found = [each for each in every if name in (each.home.host, str(each.home))]
    if not found:
        there = ", ".join(sorted({each.home.host for each in every})) or "none"
        raise NotAsked(f"no supervisor on {name} has told of itself; those that have: {there}")
    if len(found) > 1:
        raise NotAsked(f"several supervisors run on {name}: name one, {' or '.join(str(each.home) for each in found)}")
    return found[0]


def ask(
    connection: Connection,
    told: Told,
    wants: Mapping[str, Any],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Mapping[str, Any]:
    """A supervisor's answer to a request, by way of its row. Raises NotAsked."""
    number, home = uuid.uuid4().hex, told.home
    if told.stale:
        raise NotAsked(
            f"the supervisor {home} has not been heard of for {told.silent_seconds:.0f} s: it can't be asked"
        )
    mine = {**home._asdict(), "number": number}
    asked = {**mine, "request": json.dumps({**wants, "number": number}), "patience": PATIENCE_SECONDS}
    if connection.execute(_SQL()["ask"].encode(), asked).fetchone() is None:
        raise NotAsked(f"somebody else is asking the supervisor {home} just now: try again")
    until = clock() + PATIENCE_SECONDS
    while clock() < until:
        sleep(_ASK_SECONDS)
        row = connection.execute(_SQL()["answered"].encode(), mine).fetchone()
        if row is not None:
            answered = {name: value for name, value in row[0].items() if name != "number"}
            if "error" in answered:
                raise NotAsked(f"{home.host}: {answered['error']}")
            return answered
    connection.execute(_SQL()["withdraw"].encode(), mine)
    raise NotAsked(f"the supervisor {home} did not answer within {PATIENCE_SECONDS:g} s: `status` says how it is")
