"""Puts what a run measured into the documentation: the answers for who runs it, the tables for who changes it."""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench import age, report
from bench.children import ROOT
from bench.post import OURS_201, OURS_202
from bench.results import number

DOCS: Final = ROOT / "docs"
NODE_MESSAGES: Final = 4
"""Of a node's run: its start, its end, and two actions of the Chef server."""
RUN_SECONDS: Final = 1800
"""Between two runs of a node, chef-client's usual interval."""
_BLOCK: Final = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end of what was measured -->)", re.DOTALL)
_RATES: Final = (
    ("a backlog, one worker", "drain", "ours x1"),
    ("a backlog, two workers", "drain", "ours x2"),
    ("POST answered 201, 1 client", "post", f"{OURS_201} c1"),
    ("POST answered 201, 64 clients", "post", f"{OURS_201} c64"),
    ("POST answered 201, 256 clients", "post", f"{OURS_201} c256"),
    ("POST answered 202 at once, 64 clients", "post", f"{OURS_202} c64"),
)


def write(told: Mapping[str, Any], docs: Path = DOCS) -> None:
    """Rewrite the measured block of both pages. Raises ValueError when one has none."""
    for page, lines in (("performance.md", answers(told)), ("performance-table.md", report.lines(told))):
        path = docs / page
        before, *blocks = _BLOCK.split(path.read_text())
        if len(blocks) != 1:
            raise ValueError(f"{path} has {len(blocks)} blocks for what was measured, not one")
        path.write_text("\n".join([before, *lines, "", *blocks]))


def answers(told: Mapping[str, Any]) -> Iterator[str]:
    """How many a second, how old, how many cores: what was measured of it, a table each."""
    figures = {(each["section"], each["name"]): each for each in told["figures"]}
    yield f"Measured with commit {told['facts']['commit']} on {told['facts']['machine']}; {report.calmness(told)}."
    yield ""
    yield from report.table(("what", "messages a second", "CPU a message, us"), _rates(figures))
    yield ""
    ages = ("messages a second", "nodes", *(f"{name}, ms" for name, _ in age.PERCENTILES), "CPU a message, us", "cores")
    yield from report.table(ages, _ages(figures))


def _rates(figures: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for what, section, name in _RATES:
        if figure := figures.get((section, name)):
            yield what, number(figure["median"]), number(_cpu(figure))


def _ages(figures: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for (section, name), figure in figures.items():
        if section == age.SECTION and figure["unit"] == "msg/s":
            rate = int(name.partition("/")[0].replace(",", ""))
            ages = (figures[section, f"{name} {percentile}"]["median"] for percentile, _ in age.PERCENTILES)
            cpu = _cpu(figure)
            nodes = f"{rate * RUN_SECONDS // NODE_MESSAGES:,}"
            yield f"{rate:,}", nodes, *map(number, ages), number(cpu), f"{rate * cpu / 1e6:.2f}"


def _cpu(figure: Mapping[str, Any]) -> float:
    """Microseconds a message, everybody's together."""
    return statistics.median(float(sum(each)) for each in zip(*figure["cpu"].values(), strict=True))


if __name__ == "__main__":
    write(json.loads(Path(sys.argv[1]).read_text()))
