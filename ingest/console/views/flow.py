"""The way of messages as a picture: doors, queues, workers, tables, with what waits where. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.doors import DOORS
from schemas.kinds import KINDS
from schemas.labels import HELD_UP

WIDTH, HEIGHT, GAP, TOP = 190, 40, 12, 34
"""Of a box, in the picture's units; and where the first one begins."""
_COLUMN: Final = 250


class Box(NamedTuple):
    """A place in the picture: what it is, what is said of it, and the name by which that is kept up to date."""

    x: int
    y: int
    title: str
    text: str
    live: str
    trouble: bool = False


class Flow(NamedTuple):
    """Columns of boxes from left to right, and how high the picture is. `words` says the same to who sees none."""

    columns: Sequence[tuple[str, Sequence[Box]]]
    height: int
    words: str


def flow(found: Mapping[str, Any]) -> Flow:
    """The picture of what `status` gathered, with how fast it goes."""
    queues, paces = found["queues"], found["paces"]
    heard = [machine for machine in found["machines"] if not machine["stale"]]
    workers = Counter(worker["state"] for machine in heard for worker in machine["workers"])
    letters = found["letters"]
    tables = sorted({table.name for kind in KINDS.values() for table in kind.tables})
    doors = "database" not in found["faults"]
    rate = [_box(2, 0, "all workers", f"{found['rate']:g}/s")] if heard else []
    columns = (
        ("Doors", [_box(0, at, door.name, f"{found['doors'].get(door.word, 0):.3g}/s by {door.word}" if doors else "")
                   for at, door in enumerate(DOORS)]),
        ("Queues", [_queue(at, name, queue, paces) for at, (name, queue) in enumerate(_shown(queues).items())]),
        ("Workers", [*rate, *(_box(2, at, state, f"{count}", trouble=state in HELD_UP.values() or state == "silent")
                              for at, (state, count) in enumerate(sorted(workers.items()), len(rate)))]),
        ("Tables", [*(_box(3, at, name, _pace(paces.get(f"table {name}"), " rows")) for at, name in enumerate(tables)),
                    _box(3, len(tables), "dead letters", f"{letters.get('open', 0)} open")]),
    )  # fmt: skip
    highest = max(len(boxes) for _, boxes in columns)
    words = "; ".join(f"{title}: {', '.join(_said(box) for box in boxes) or 'none seen'}" for title, boxes in columns)
    return Flow(columns, TOP + highest * (HEIGHT + GAP), words)


def texts(picture: Flow) -> dict[str, str]:
    """Live name -> text of each box, for a picture that is open."""
    return {box.live: box.text for _, boxes in picture.columns for box in boxes}


def paces(before: Mapping[str, Any], after: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """A second, between two looks: rows written into a `table NAME`, by how much a `queue NAME` grew. Statistics that
    were begun anew say nothing."""
    if seconds <= 0:
        return {}
    both = after["written"].keys() & before["written"].keys()
    rows = {name: after["written"][name] - before["written"][name] for name in both}
    found = {f"table {name}": count / seconds for name, count in rows.items() if count >= 0}
    for name in after["queues"].keys() & before["queues"].keys():
        found[f"queue {name}"] = (after["queues"][name]["ready"] - before["queues"][name]["ready"]) / seconds
    return found


def _shown(queues: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """Those that have consumers or messages, or should have: the others say nothing of the way."""
    return {name: queue for name, queue in queues.items() if queue["ready"] or queue["consumers"]}


def _queue(at: int, name: str, queue: Mapping[str, int], paces: Mapping[str, float]) -> Box:
    stuck = bool(queue["ready"]) and not queue["consumers"]
    pace = paces.get(f"queue {name}")
    grows = f", {pace:+.3g}/s" if pace else ""
    return _box(1, at, name, f"{queue['ready']} ready{grows}", trouble=stuck)


def _pace(pace: float | None, unit: str) -> str:
    return "" if pace is None else f"{pace:.3g}{unit}/s"


def _box(column: int, at: int, title: str, text: str, *, trouble: bool = False) -> Box:
    live = f"box {column} {title}"
    return Box(column * _COLUMN, TOP + at * (HEIGHT + GAP), title, text, live, trouble)


def _said(box: Box) -> str:
    return f"{box.title} {box.text}".strip()
