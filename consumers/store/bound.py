"""How many letters are kept: beyond a bound none of what its sender, who waits, is told anyway."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from consumers.database.connection import Connection
from consumers.delivery import Delivery, hears

SPARE_SECONDS: Final = 0.5
"""How long a sender must wait on at least, so that the answer reaches him."""
TOGETHER: Final = 10
"""All organizations together have so many times the bound of one: a sender may name a new one each time."""
LONGEST_NAME: Final = 255


@dataclass(slots=True)
class Bound:
    """Counts new letters by hour and organization, and says of which none is kept.

    `per_hour` and `most` as INGEST_LETTERS_PER_HOUR and INGEST_LETTERS_MAX, 0 is no limit; `kept` is how many there
    were when they were last counted.
    """

    sql: Mapping[str, str]
    per_hour: int
    most: int
    now: Callable[[], float] = time.time
    kept: int = 0

    def beyond(self, connection: Connection, fresh: Sequence[tuple[Delivery, Mapping[str, Any]]]) -> dict[int, str]:
        """Position -> why no letter is kept of it. What is a letter already is no new one, and goes on being counted
        there; what nobody is told of is kept in any case.

        Lines are added and never changed, so that workers don't wait for each other; a bound may be passed by what
        they commit at the same moment.
        """
        full = 0 < self.most <= self.kept
        if not (self.per_hour or full):
            return {}
        keys = [letter["message_key"] for _, letter in fresh]
        known = {row[0] for row in connection.execute(self.sql["known_letters"], {"keys": keys})}
        names = {_name(letter) for _, letter in fresh}
        sums: Counter[str | None] = Counter()
        if self.per_hour:
            sums.update(dict(connection.execute(self.sql["letters_of_hour"], {"names": sorted(names)}).fetchall()))
        before = Counter(sums)
        found: dict[int, str] = {}
        for at, (delivery, letter) in enumerate(fresh):
            if letter["message_key"] in known:
                continue
            why = self._why(sums, _name(letter), full)
            if why and hears(delivery, self.now(), SPARE_SECONDS):
                found[at] = why
            else:
                known.add(letter["message_key"])
                sums.update((_name(letter), None))
        # Beyond a bound it does not matter how far.
        lines = [(name, sums[name] - before[name]) for name in names if not self._why(before, name, full=False)]
        values = [{"organization": name, "letters": new} for name, new in lines if new]
        if self.per_hour and values:
            connection.cursor().executemany(self.sql["count_letters"], values)
        return found

    def _why(self, sums: Mapping[str | None, int], name: str, full: bool) -> str:
        if full:
            return f"no letter kept: {self.kept} letters, INGEST_LETTERS_MAX"
        if self.per_hour and sums[name] >= self.per_hour:
            whose = f"of {name}" if name else "of no organization"
            return f"no letter kept: {sums[name]} letters {whose} in this hour, INGEST_LETTERS_PER_HOUR"
        if self.per_hour and sums[None] >= TOGETHER * self.per_hour:
            return f"no letter kept: {sums[None]} letters in this hour, {TOGETHER} times INGEST_LETTERS_PER_HOUR"
        return ""


def _name(letter: Mapping[str, Any]) -> str:
    name = letter["organization"] or ""
    return name if len(name) <= LONGEST_NAME else ""
