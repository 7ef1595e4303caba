"""What the figures are to reach, each a ratio between things measured side by side, or a bound of its own."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bench import growth, stopped
from bench.drain import COPY
from bench.post import CONSTANT, OURS_201
from bench.results import Results


@dataclass(frozen=True, slots=True)
class Target:
    """`measure` gives a value a round, none when its section did not run; `least` or `most` bounds the median."""

    what: str
    measure: Callable[[Results], list[float]]
    least: float | None = None
    most: float | None = None

    def judge(self, results: Results) -> dict[str, Any] | None:
        values = self.measure(results)
        if not values:
            return None
        median = statistics.median(values)
        met = median >= self.least if self.least is not None else median <= (self.most or 0)
        bound = f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"
        spread = {"median": median, "min": min(values), "max": max(values)}
        return {"what": self.what, **spread, "target": bound, "met": met}


def _ratio(section: str, above: str, below: str) -> Callable[[Results], list[float]]:
    return lambda results: results.ratios(section, above, below)


def _best_over_copy(results: Results) -> list[float]:
    """Our best number of processes over COPY in the same number of processes."""
    pairs = [results.ratios("drain", f"ours x{n}", f"{COPY} x{n}") for n in (1, 2)]
    rates = [
        results.figures[("drain", f"ours x{n}")].median if pair else 0 for n, pair in zip((1, 2), pairs, strict=True)
    ]
    return pairs[rates.index(max(rates))]


def _peaks(results: Results) -> list[float]:
    return [
        value for (section, name), figure in results.figures.items()
        if section == "peak" and name.startswith(("memory", "backlog")) for value in figure.values
    ]  # fmt: skip


def _waited(what: str) -> Callable[[Results], list[float]]:
    """The longer of the waits for two servers that stand still, ms."""

    def measure(results: Results) -> list[float]:
        names = [f"{server}: {what} p99.9" for server in ("PostgreSQL", "RabbitMQ")]
        found = [results.figures[stopped.SECTION, name] for name in names if (stopped.SECTION, name) in results.figures]
        return _worst([value for figure in found for value in figure.values])

    return measure


def _worst(values: list[float]) -> list[float]:
    return [max(values)] if values else []


TARGETS: Final = (
    Target("drain, 1 process, over naive", _ratio("drain", "ours x1", "naive x1"), least=10),
    Target("drain, 1 process, over celery", _ratio("drain", "ours x1", "celery x1"), least=5),
    Target("drain, 1 process, over faststream", _ratio("drain", "ours x1", "faststream x1"), least=2.5),
    Target("drain, 1 process, over aio-pika+asyncpg", _ratio("drain", "ours x1", "aio-pika+asyncpg x1"), least=1.5),
    Target("drain, 2 processes, over 2 node peers", _ratio("drain", "ours x2", "node x2"), least=1.3),
    Target("drain, 1 process, over pika doing nothing", _ratio("drain", "ours x1", "pika nothing x1"), least=0.65),
    Target("drain, best, over COPY with no broker", _best_over_copy, least=0.5),
    Target("post 201, 64 connections, over constant", _ratio("post", f"{OURS_201} c64", f"{CONSTANT} c64"), least=0.3),
    Target("its p99, 64 connections, over constant's", _ratio("p99", f"{OURS_201} c64", f"{CONSTANT} c64"), most=10),
    Target("a lone POST over one bare INSERT commit", _ratio("lone", "POST", "INSERT"), most=5),
    Target("action, broker or database stopped, p99.9, ms", _waited("POST"), most=300),
    Target("the constant GET meanwhile, p99.9, ms", _waited("GET"), most=20),
    Target("growth, 10 M rows over empty", _ratio("growth", growth.into(10_000_000), growth.EMPTY), least=0.9),
    Target("growth, 50 M rows over empty", _ratio("growth", growth.into(50_000_000), growth.EMPTY), least=0.9),
    Target("worker's peak memory, MB, whatever the messages", lambda results: _worst(_peaks(results)), most=200),
)
"""In the order of docs/performance.md; the 50 M line needs `--long`."""


def judge_all(results: Results) -> list[dict[str, Any]]:
    return [judged for target in TARGETS if (judged := target.judge(results)) is not None]
