"""Prints what was measured: one Markdown table of figures, one of targets, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.results import Results, number
from bench.targets import judge_all

_BASES = {
    "drain": "ours x1", "growth": "into 0 rows", "scale": "1 processes", "backlog": "10,000 messages", "lone": "INSERT",
}  # fmt: skip
_TITLES = {"p50": "post p50", "p99": "post p99", "lone": "lone POST", "cpu": "cpu each", "peak": "peak memory"}


def document(facts: Mapping[str, str], results: Results, seconds: float) -> dict[str, Any]:
    """Everything, JSON-able."""
    figures = [{"section": s, "name": n, **figure.to_json()} for (s, n), figure in results.figures.items()]
    return {
        "facts": dict(facts),
        "seconds": round(seconds, 1),
        "figures": figures,
        "targets": judge_all(results),
        "faults": results.faults,
    }


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The document as Markdown."""
    for name, value in told["facts"].items():
        yield f"- {name}: {value}"
    yield ""
    yield from _table(("what", "median", "min", "max", "unit", "ratio", "to"), _figures(told["figures"]))
    yield ""
    rows = [
        (each["what"], *(number(each[key]) for key in ("median", "min", "max")), each["target"], _met(each))
        for each in told["targets"]
    ]
    yield from _table(("target", "median", "min", "max", "wanted", "met"), rows)
    yield ""
    yield from (f"WRONG: {fault}" for fault in told["faults"])
    yield f"{len(told['faults'])} faults in the stored rows; {told['seconds']:g} s in all"


def _figures(figures: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    medians = {(each["section"], each["name"]): each["median"] for each in figures}
    for each in sorted(
        figures, key=lambda figure: list(dict.fromkeys(f["section"] for f in figures)).index(figure["section"])
    ):
        section, name = each["section"], each["name"]
        base = _base(section, name)
        below = medians.get((section, base))
        ratio = f"{each['median'] / below:.2f}" if below and base != name else ""
        title = f"{_TITLES.get(section, section)}: {name}"
        yield (
            title,
            *(number(each[key]) for key in ("median", "min", "max")),
            each["unit"],
            ratio,
            base if ratio else "",
        )


def _base(section: str, name: str) -> str:
    """What a figure is compared with."""
    if section in ("post", "p50", "p99"):
        return f"constant {name.rpartition(' ')[2]}"
    if section == "drain" and name.endswith("x2"):
        return "ours x2"
    return _BASES.get(section, "")


def _met(target: Mapping[str, Any]) -> str:
    return "yes" if target["met"] else "NO"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    cells = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for index, row in enumerate(cells):
        texts = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"| {' | '.join(texts)} |"
        if index == 0:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"
