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
    live: str = ""
    trouble: bool = False


class Flow(NamedTuple):
    """Columns of boxes from left to right, and how high the picture is. `words` says the same to who sees none."""

    columns: Sequence[tuple[str, Sequence[Box]]]
    height: int
    words: str


def flow(found: Mapping[str, Any]) -> Flow:
    """The picture of what `status` gathered."""
    queues = found["queues"]
    heard = [machine for machine in found["machines"] if not machine["stale"]]
    workers = Counter(worker["state"] for machine in heard for worker in machine["workers"])
    letters = found["letters"]
    tables = sorted({table.name for kind in KINDS.values() for table in kind.tables})
    columns = (
        ("Doors", [_box(0, at, door.name, "") for at, door in enumerate(DOORS)]),
        ("Queues", [_queue(at, name, queue) for at, (name, queue) in enumerate(_shown(queues).items())]),
        ("Workers", [_box(2, at, state, f"{count}", trouble=state in HELD_UP.values() or state == "silent")
                     for at, (state, count) in enumerate(sorted(workers.items()))]),
        ("Tables", [*(_box(3, at, name, "") for at, name in enumerate(tables)),
                    _box(3, len(tables), "dead letters", f"{letters.get('open', 0)} open", "letters open")]),
    )  # fmt: skip
    highest = max(len(boxes) for _, boxes in columns)
    words = "; ".join(f"{title}: {', '.join(_said(box) for box in boxes) or 'none seen'}" for title, boxes in columns)
    return Flow(columns, TOP + highest * (HEIGHT + GAP), words)


def _shown(queues: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """Those that have consumers or messages, or should have: the others say nothing of the way."""
    return {name: queue for name, queue in queues.items() if queue["ready"] or queue["consumers"]}


def _queue(at: int, name: str, queue: Mapping[str, int]) -> Box:
    stuck = bool(queue["ready"]) and not queue["consumers"]
    return _box(1, at, name, f"{queue['ready']} ready", f"queue {name}", trouble=stuck)


def _box(column: int, at: int, title: str, text: str, live: str = "", *, trouble: bool = False) -> Box:
    return Box(column * _COLUMN, TOP + at * (HEIGHT + GAP), title, text, live, trouble)


def _said(box: Box) -> str:
    return f"{box.title} {box.text}".strip()
