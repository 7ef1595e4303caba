"""How each process went, a row a minute, by which `status` and the console show the last hour."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from consumers.database import statements
from consumers.database.connection import Connection

MINUTES: Final = 60
"""How far back it is shown."""
SECONDS: Final = 60

_SQL: Final = statements.lazily("consumers.machines", "machines.sql")


class Sample(NamedTuple):
    """What a process says of one minute; `minute` is its beginning, as UNIX time."""

    minute: int
    said: Mapping[str, Any]


class Sampler:
    """Counts, minute by minute, what a supervisor hears of its workers; it is told the time (UNIX)."""

    def __init__(self) -> None:
        self._before: Sample | None = None
        self._minute = 0
        self._gauges: dict[str, int | None] = {}
        self._outcomes: Counter[str] = Counter()
        self._ages: Counter[int] = Counter()
        self._events: Counter[str] = Counter()

    def count(self, outcomes: Mapping[str, int], ages: Mapping[int, int], faults: int, now: float) -> None:
        """What a worker has done; `ages` is seconds between publish and commit -> messages."""
        self._turn(now)
        self._outcomes.update(outcomes)
        for age, messages in ages.items():
            self._ages[coarse(age)] += messages
        if faults:
            self._events["faults"] += faults

    def died(self, now: float) -> None:
        """A worker has, by itself."""
        self._turn(now)
        self._events["deaths"] += 1

    def latest(self, gauges: Mapping[str, int | None], now: float) -> tuple[Sample, ...]:
        """The minute before, where it was counted, and this one so far; `gauges` is what is seen now."""
        self._turn(now)
        self._gauges = dict(gauges)
        here = Sample(self._minute * SECONDS, self._said())
        return (here,) if self._before is None else (self._before, here)

    def _said(self) -> dict[str, Any]:
        return {**self._gauges, **self._events, "outcomes": dict(self._outcomes), "ages": dict(self._ages)}

    def _turn(self, now: float) -> None:
        minute = int(now // SECONDS)
        if minute == self._minute:
            return
        if self._minute:
            self._before = Sample(self._minute * SECONDS, self._said())
        self._minute = minute
        self._outcomes, self._ages, self._events = Counter(), Counter(), Counter()


def coarse(seconds: int) -> int:
    """An age by its first two digits: a backlog of days has no more different ones than an hour's."""
    size = 1
    while seconds // size >= 100:
        size *= 10
    return seconds // size * size


def write(connection: Connection, host: str, process: str, samples: Iterable[Sample]) -> None:
    """Keep them; what is kept of the same minute already is replaced. Raises psycopg.Error, as all that follow."""
    for each in samples:
        values = {"minute": each.minute, "host": host, "process": process, "said": json.dumps(each.said)}
        connection.execute(_SQL()["sample"].encode(), values)


def prune(connection: Connection) -> None:
    """Forget those that are shown no more."""
    connection.execute(_SQL()["prune_samples"].encode())


def samples(connection: Connection) -> list[tuple[int, Mapping[str, Any]]]:
    """Minutes ago, from 0 (this one) to MINUTES - 1, and what a process said of it; oldest first."""
    found = connection.execute(_SQL()["samples"].encode(), {"minutes": MINUTES})
    return [(max(0, ago), said) for ago, said in found if isinstance(said, dict)]
