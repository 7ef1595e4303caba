"""Tells what was measured: as JSON, and as Markdown tables of figures, of targets, and of what is out of reach."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import age, bounds, growth
from bench.results import WHO, Results, number
from bench.targets import judge_all

_BASES = {
    "drain": "ours x1", "growth": growth.EMPTY, "wal": growth.EMPTY, "scale": "1 processes",
    "backlog": "10,000 messages", "lone": "INSERT",
}  # fmt: skip
_TITLES = {
    "p50": "post p50", "p99": "post p99", "lone": "lone POST", "wal": "growth, WAL each", "id": "WAL of an id",
    "peak": "peak memory", "console": "page ready",
}  # fmt: skip
_FIGURES = ("what", "median", "min", "max", "unit", "ratio", "to", *(f"{who} us" for who in WHO), "machine")
_TARGETS = ("target", "median", "min", "max", "wanted", "met")
_SUMS = ("what", "CPU each, us", "at most, a second", "over", "at most", "measured")


def document(facts: Mapping[str, str], results: Results, seconds: float) -> dict[str, Any]:
    """Everything, JSON-able."""
    figures = [{"section": s, "name": n, **figure.to_json()} for (s, n), figure in results.figures.items()]
    return {
        "facts": dict(facts),
        "seconds": round(seconds, 1),
        "figures": figures,
        "targets": judge_all(results),
        "sums": bounds.sums(results, os.cpu_count() or 1),
        "faults": results.faults,
    }


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The document as Markdown."""
    for name, value in told["facts"].items():
        yield f"- {name}: {value}"
    yield f"- while it ran: {calmness(told)}"
    yield ""
    yield from table(_FIGURES, _figures(told["figures"]))
    yield ""
    rows = [
        (each["what"], *(number(each[key]) for key in ("median", "min", "max")), each["target"], _met(each))
        for each in told["targets"]
    ]
    yield from table(_TARGETS, rows)
    yield ""
    yield from table(_SUMS, _sums(told["sums"]))
    yield ""
    yield from (f"WRONG: {fault}" for fault in told["faults"])
    yield f"{len(told['faults'])} faults in the stored rows; {told['seconds']:g} s in all"


def calmness(told: Mapping[str, Any]) -> str:
    """How many of the rows were measured on a machine that had nothing else to do."""
    busy = sum(1 for each in told["figures"] if each["busy"])
    return f"{busy} of {len(told['figures'])} rows have rounds on a busy machine" if busy else "calm"


def table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Markdown whose columns are as wide as they must be; the first one to the left, the others to the right."""
    cells = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for index, row in enumerate(cells):
        texts = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"| {' | '.join(texts)} |"
        if index == 0:
            rules = ("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths))
            yield f"|{'|'.join(rules)}|"


def _figures(figures: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    medians = {(each["section"], each["name"]): each["median"] for each in figures}
    sections = list(dict.fromkeys(each["section"] for each in figures))
    for each in sorted(figures, key=lambda figure: sections.index(figure["section"])):
        section, name = each["section"], each["name"]
        base = _base(section, name)
        below = medians.get((section, base))
        ratio = f"{each['median'] / below:.2f}" if below and base != name else ""
        yield (
            f"{_TITLES.get(section, section)}: {name}",
            *(number(each[key]) for key in ("median", "min", "max")),
            each["unit"],
            ratio,
            base if ratio else "",
            *(number(statistics.median(each["cpu"][who])) if who in each["cpu"] else "" for who in WHO),
            f"busy {each['busy']}/{len(each['values'])}" if each["busy"] else "calm",
        )


def _base(section: str, name: str) -> str:
    """What a figure is compared with."""
    if section in ("post", "p50", "p99"):
        return f"constant {name.rpartition(' ')[2]}"
    if section == "drain" and name.endswith("x2"):
        return "ours x2"
    if section == age.SECTION and " p" in name:
        return name.partition(" ")[0] + age.INSERT
    return _BASES.get(section, "")


def _sums(sums: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for each in sums:
        shares = (f"{each[key]:.2f}" for key in ("share", "measured"))
        yield each["what"], number(each["us"]), number(each["most"]), each["to"], *shares


def _met(target: Mapping[str, Any]) -> str:
    """A figure of a busy machine is no word on a target."""
    return ("yes" if target["met"] else "NO") + ("" if target["calm"] else ", but busy")
