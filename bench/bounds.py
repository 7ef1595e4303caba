"""What no worker could beat on this machine, as sums of the processor time that was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

from bench.contenders import NOTHING, OURS
from bench.drain import COPY, DECODE
from bench.post import CONSTANT, OURS_201
from bench.results import Results, divided

PARTS: Final = [("drain", f"{name} x1") for name in (NOTHING, COPY, DECODE, OURS)]
_LIMITS: Final = (
    ("drain", f"{OURS} x1", f"{NOTHING} x1"),
    ("drain", f"{OURS} x2", f"{COPY} x2"),
    ("post", f"{OURS_201} c64", f"{CONSTANT} c64"),
)
"""What we do, and a limit that does a part of it and has the whole machine for that part."""


def irreducible_shares(results: Results) -> list[float]:
    """The broker's deliver and ack, COPY BINARY of ids and rows with its commit, a typed decode; over all of ours."""
    nothing, copy, decode, ours = PARTS
    parts = [results.cpu_sums(*nothing, who=["RabbitMQ"]), results.cpu_sums(*copy), results.cpu_sums(*decode)]
    return divided([sum(each) for each in zip(*parts, strict=False)], results.cpu_sums(*ours))


def sums(results: Results, cores: int) -> list[dict[str, Any]]:
    """For each limit: processor time a message, the rate of all cores at work on nothing else, and its share of the
    limit's rate, beside what was measured."""
    return [
        {"what": f"{section}: {name}", "to": limit, **_sum(used, results.values(section, limit), ratio, cores)}
        for section, name, limit in _LIMITS
        if (used := results.cpu_sums(section, name)) and (ratio := results.ratios(section, name, limit))
    ]


def _sum(used: Sequence[float], limit: Sequence[float], ratios: Sequence[float], cores: int) -> dict[str, float]:
    most = [cores * 1e6 / each for each in used]
    return {
        "us": statistics.median(used),
        "most": statistics.median(most),
        "share": statistics.median(divided(most, limit)),
        "measured": statistics.median(ratios),
    }
