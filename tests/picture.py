"""Draws the rooms out of ROOMS into a page: `python tests/picture.py docs/explanation/rooms.md` (`make docs` does)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rooms import FLOORS, ROOMS, ROOT

DRAWN: Final = sorted(room for room in ROOMS if "/" in room and (ROOT / room).is_dir())
"""Folders. What lies on an open floor is used all over it."""


def picture() -> str:
    """The block of a page: an arrow from who imports to what is imported; what follows from two others is left out."""
    lines = ["```mermaid", "flowchart TD"]
    for floor in reversed(FLOORS):
        inside = [f'    {_id(room)}["{room.partition("/")[2]}/"]' for room in DRAWN if room.startswith(f"{floor}/")]
        lines += [f'  subgraph {floor}["{floor}/"]', *inside, "  end"]
    return "\n".join([*lines, *(f"  {_id(room)} --> {_id(other)}" for room, other in arrows_drawn()), "```"])


def arrows_drawn() -> Iterator[tuple[str, str]]:
    """(room, other) where nothing stands between the two."""
    below = {room: _below(room) & set(DRAWN) for room in DRAWN}
    for room in DRAWN:
        yield from (
            (room, other) for other in sorted(below[room]) if all(other not in below[each] for each in below[room])
        )


def _below(room: str) -> set[str]:
    return set(ROOMS[room]).union(*(_below(other) for other in ROOMS[room]))


def _id(room: str) -> str:
    return room.replace("/", "_")


def drawn_into(page: str) -> str:
    """The page with its picture as it is now."""
    return re.sub(r"```mermaid\n.*?^```$", lambda _: picture(), page, flags=re.M | re.S)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(drawn_into(path.read_text()))
