"""Fits rows to where they are read: a terminal's width, where nothing short is ever broken, or a pipe's whole lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len

from schemas.printable import ago, exact, printable

if TYPE_CHECKING:
    from rich.table import Table

CROPPED: Final = frozenset({"why", "example"})
"""Columns of text that another command shows in full: they stand last, and end where the line does."""
WRAPPED: Final = frozenset({"finding", "remedy", "help", "value", "now", "became", "details", "faults", "text", "note"})
"""Columns of text that is shown nowhere else."""
SHORT_FINGERPRINT: Final = 8
LEAST_TEXT: Final = 20
"""Columns of text get so much of the line, if others have to go for it."""
EXPENDABLE: Final = (
    "example", "attempts", "first_seen", "kind", "sample", "senders", "organizations", "nodes", "stage", "door",
    "bytes", "sent_by", "node", "open", "last_seen", "heard", "looked_at", "total",
)  # fmt: skip
"""What goes where a line is too short for all, in this order."""
_GAP: Final = 2


def fitted(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int, now: datetime
) -> tuple[Table, list[str]]:
    """A table of at most `width` columns of a terminal, and the names of those that found no room in it."""
    from rich.table import Table  # A terminal's alone: most commands are asked without one.

    cells = {name: [_short(name, row.get(name), now) for row in rows] for name in _ordered(columns)}
    widths = {name: max(map(cell_len, (_title(name), *column))) for name, column in cells.items()}
    texts = [name for name in cells if name in CROPPED | WRAPPED]
    hidden: list[str] = []
    for name in EXPENDABLE:
        if _needed(widths, texts) <= width:
            break
        if widths.pop(name, None) is not None:
            hidden.append(name)
    texts = [name for name in texts if name in widths]
    room = width - sum(widths[name] + _GAP for name in widths if name not in texts)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, share in {**widths, **_shared(room, {each: widths[each] for each in texts})}.items():
        overflow: Any = "fold" if name in WRAPPED else "ellipsis"
        table.add_column(_title(name), overflow=overflow, no_wrap=name not in WRAPPED, min_width=share, max_width=share)
    for index in range(len(rows)):
        table.add_row(*(cells[name][index] for name in widths))
    return table, hidden


def whole(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Lines with all there is to say: short cells in columns, text as long as it is, nothing after it."""
    names = _ordered(columns)
    lines = [[_title(name) for name in names], *([_whole(row.get(name)) for name in names] for row in rows)]
    padded = [
        0 if name in CROPPED | WRAPPED else max(cell_len(line[at]) for line in lines) for at, name in enumerate(names)
    ]
    return "".join(
        "  ".join(cell + " " * (pad - cell_len(cell)) for cell, pad in zip(line, padded, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _ordered(columns: Sequence[str]) -> list[str]:
    """Text last."""
    return sorted(columns, key=lambda name: (name in CROPPED | WRAPPED, name in CROPPED))


def _title(name: str) -> str:
    return name.replace("_", " ")


def _short(name: str, value: Any, now: datetime) -> str:
    if isinstance(value, datetime):
        return ago(value, now)
    return _whole(value)[:SHORT_FINGERPRINT] if name == "fingerprint" else _whole(value)


def _whole(value: Any) -> str:
    if value is None:
        return ""
    return exact(value) if isinstance(value, datetime) else printable(str(value))


def _needed(widths: Mapping[str, int], texts: Sequence[str]) -> int:
    return sum(_GAP + (min(width, LEAST_TEXT) if name in texts else width) for name, width in widths.items()) - _GAP


def _shared(room: int, texts: Mapping[str, int]) -> dict[str, int]:
    """The room for text, by need: who needs less than an equal share leaves the rest to the others."""
    shares: dict[str, int] = {}
    for left, (name, need) in zip(
        range(len(texts), 0, -1), sorted(texts.items(), key=lambda each: each[1]), strict=True
    ):
        shares[name] = max(1, min(need, (room - _GAP * (left - 1)) // left))
        room -= shares[name] + _GAP
    return shares
