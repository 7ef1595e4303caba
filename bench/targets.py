"""What the figures are to reach, each a ratio between things measured side by side, or a bound of its own."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench import age, bounds, growth, stopped
from bench.post import CONSTANT, FASTAPI, FLOOR, OURS_201
from bench.results import Results, divided


@dataclass(frozen=True, slots=True)
class Measure:
    """`values` gives one a round, none when its section did not run; `figures` are what it is made of."""

    figures: Sequence[tuple[str, str]]
    values: Callable[[Results], list[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """`least` or `most` bounds the median of a measure."""

    what: str
    measure: Measure
    least: float | None = None
    most: float | None = None

    def judge(self, results: Results) -> dict[str, Any] | None:
        """None when it was not measured."""
        values = self.measure.values(results)
        if not values:
            return None
        median = statistics.median(values)
        met = median >= self.least if self.least is not None else median <= (self.most or 0)
        bound = f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"
        spread = {"median": median, "min": min(values), "max": max(values)}
        calm = all(results.calm(*each) for each in self.measure.figures)
        return {"what": self.what, **spread, "target": bound, "met": met, "calm": calm}


def _ratio(section: str, above: str, below: str) -> Measure:
    return Measure([(section, above), (section, below)], lambda results: results.ratios(section, above, below))


def _drain(processes: int, peer: str) -> Measure:
    return _ratio("drain", f"ours x{processes}", f"{peer} x{processes}")


def _growth(rows: int, what: str) -> Measure:
    """CPU, everybody's together, or WAL a message, over what it is in empty tables."""
    if what == growth.WAL:
        return _ratio(growth.WAL, growth.into(rows), growth.EMPTY)
    pair = [(growth.SECTION, growth.into(rows)), (growth.SECTION, growth.EMPTY)]
    return Measure(pair, lambda results: divided(*(results.cpu_sums(*each) for each in pair)))


def _age(rate: int) -> Measure:
    return _ratio(age.SECTION, f"{age.at(rate)} p99", age.insert_at(rate))


def _cpu(section: str, name: str) -> Measure:
    return Measure([(section, name)], lambda results: results.cpu_sums(section, name))


def _peaks() -> Measure:
    """The worst there was."""

    def values(results: Results) -> list[float]:
        return _worst([
            value for (section, name), figure in results.figures.items()
            if section == "peak" and name.startswith(("memory", "backlog")) for value in figure.values
        ])  # fmt: skip

    return Measure([], values)


def _waited(what: str) -> Measure:
    """The longer of the waits for two servers that stand still, ms."""
    names = [(stopped.SECTION, f"{server}: {what} p99.9") for server in ("PostgreSQL", "RabbitMQ")]
    return Measure(names, lambda results: _worst([value for each in names for value in results.values(*each)]))


def _worst(values: list[float]) -> list[float]:
    return [max(values)] if values else []


TARGETS: Final = (
    Target("drain, 1 process, over naive", _drain(1, "naive"), least=12),
    Target("drain, 1 process, over celery", _drain(1, "celery"), least=6),
    Target("drain, 1 process, over faststream", _drain(1, "faststream"), least=5),
    Target("drain, 1 process, over aio-pika+asyncpg", _drain(1, "aio-pika+asyncpg"), least=2.5),
    Target("drain, 2 processes, over 2 node peers", _drain(2, "node"), least=3.5),
    Target("share of the CPU that is irreducible", Measure(bounds.PARTS, bounds.irreducible_shares), least=0.6),
    Target("post 201, 64 connections, over the floor", _ratio("post", f"{OURS_201} c64", f"{FLOOR} c64"), least=0.7),
    Target("post 201, 64 connections, over FastAPI", _ratio("post", f"{OURS_201} c64", f"{FASTAPI} c64"), least=2.5),
    Target("its p99, 64 connections, over constant's", _ratio("p99", f"{OURS_201} c64", f"{CONSTANT} c64"), most=10),
    Target("a lone POST over one bare INSERT commit", _ratio("lone", "POST", "INSERT"), most=5),
    Target("age at commit, 500/s, p99, in bare INSERTs", _age(500), most=8),
    Target("CPU a message at 500/s, us", _cpu(age.SECTION, age.at(500)), most=1100),
    Target("growth, 10 M rows over empty, CPU", _growth(10_000_000, "cpu"), most=1.3),
    Target("growth, 10 M rows over empty, WAL", _growth(10_000_000, growth.WAL), most=1.3),
    Target("growth, 50 M rows over empty, CPU", _growth(50_000_000, "cpu"), most=1.5),
    Target("growth, 50 M rows over empty, WAL", _growth(50_000_000, growth.WAL), most=1.5),
    Target("action, broker or database stopped, p99.9, ms", _waited("POST"), most=300),
    Target("the constant GET meanwhile, p99.9, ms", _waited("GET"), most=20),
    Target("worker's peak memory, MB, whatever the messages", _peaks(), most=200),
)
"""In the order of the table; the 50 M lines need `--long`."""


def judge_all(results: Results) -> list[dict[str, Any]]:
    return [judged for target in TARGETS if (judged := target.judge(results)) is not None]
