"""The last hour, minute by minute: what supervisors and shims wrote down, added up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from consumers.machines.samples import MINUTES
from schemas.verdict import DUPLICATE

AGE_MINUTES: Final = 10
"""Of these, p50 and p99 are told."""
FIVES: Final = 12
SUMMED: Final = ("deaths", "faults", "requests", "refused", "keyless")
SEEN: Final = ("backlog", "letters")
"""What every supervisor sees: the highest that one saw in that minute counts."""


class Age(NamedTuple):
    """Whole seconds from publish to commit: half of so many messages were younger, and 99 of a hundred."""

    p50: int
    p99: int
    messages: int


def trend(samples: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Name -> a value for each of the last MINUTES minutes, the oldest first, None where nobody told; of this minute as
    far as it has come. Beside them `age`: p50, p99 of the last AGE_MINUTES, None where nothing was committed.

    `samples` are minutes ago, and what a process said.
    """
    minutes: list[list[Mapping[str, Any]]] = [[] for _ in range(MINUTES)]
    for ago, said in samples:
        if 0 <= ago < MINUTES:
            minutes[MINUTES - 1 - ago].append(said)
    found: dict[str, Any] = {name: [_folded(rows, name, max) for rows in minutes] for name in SEEN}
    found |= {name: [_folded(rows, name, sum) for rows in minutes] for name in SUMMED}
    outcomes = [_merged(rows, "outcomes") for rows in minutes]
    ages = [_merged(rows, "ages") for rows in minutes]
    spoken = [any("outcomes" in row for row in rows) for rows in minutes]
    found["messages"] = [each.total() if told else None for each, told in zip(outcomes, spoken, strict=True)]
    # Where a supervisor spoke, what it does not name did not happen.
    for name in ("deaths", "faults"):
        found[name] = [each or 0 if told else None for each, told in zip(found[name], spoken, strict=True)]
    found["duplicates"] = [
        each[DUPLICATE.outcome] if told else None for each, told in zip(outcomes, spoken, strict=True)
    ]
    by_minute = [percentiles(each) for each in ages]
    for name in ("p50", "p99"):
        found[f"age_{name}"] = [None if each is None else getattr(each, name) for each in by_minute]
    lately = percentiles(sum(ages[-AGE_MINUTES:], Counter()))
    found["age"] = None if lately is None else lately._asdict()
    return found


def percentiles(ages: Mapping[int, int]) -> Age | None:
    """Of seconds -> messages; None of none."""
    total = sum(ages.values())
    return Age(_at(ages, total, 0.5), _at(ages, total, 0.99), total) if total else None


def lately(series: Sequence[float | None], minutes: int) -> float:
    """The sum of the last minutes, those of which nobody told left out."""
    return sum(each or 0 for each in series[-minutes:])


def told(series: Sequence[int | None]) -> list[int]:
    """The values of those minutes of which somebody told."""
    return [each for each in series if each is not None]


def fives(series: Sequence[int | None]) -> list[int]:
    """The highest of each five minutes, FIVES of them, for where there is little room; 0 where nobody told."""
    step = MINUTES // FIVES
    return [max(told(series[at : at + step]), default=0) for at in range(0, MINUTES, step)]


def _at(ages: Mapping[int, int], total: int, part: float) -> int:
    seen = 0
    for age in sorted(ages):
        seen += ages[age]
        if seen >= part * total:
            return age
    return 0


def _folded(rows: Sequence[Mapping[str, Any]], name: str, fold: Callable[[Iterable[int]], int]) -> int | None:
    told = [row[name] for row in rows if _is_count(row.get(name))]
    return fold(told) if told else None


def _merged(rows: Sequence[Mapping[str, Any]], name: str) -> Counter[Any]:
    merged: Counter[Any] = Counter()
    for row in rows:
        told = row.get(name)
        for key, count in told.items() if isinstance(told, dict) else ():
            if _is_count(count):
                merged[int(key) if name == "ages" else key] += count
    return merged


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
