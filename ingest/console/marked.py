"""A body line by line, with those marked that a letter was refused for. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

_MEMBER: Final = re.compile(r'"((?:[^"\\]|\\.)*)": ')
_INDENT: Final = 2


class Line(NamedTuple):
    """`hit`: the member that this line begins is one that was named."""

    text: str
    hit: bool


def marked(text: str, fields: Collection[str]) -> list[Line]:
    """The lines of indented JSON; fields are dotted paths, as details name them. What is no such text has no hits."""
    wanted = frozenset(fields) - {""}
    return [Line(line, path in wanted) for line, path in _paths(text.split("\n"))]


def _paths(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each line with the path of the member or element that begins there."""
    names: list[str] = []
    counts: list[int] = []
    for line in lines:
        bare = line.lstrip(" ")
        depth = (len(line) - len(bare)) // _INDENT
        if depth == 0 or bare[:1] in ("}", "]"):
            yield line, ""
            continue
        del names[depth - 1 :], counts[depth:]
        counts += [-1] * (depth - len(counts))
        counts[depth - 1] += 1
        member = _MEMBER.match(bare)
        names += [""] * (depth - 1 - len(names))
        names.append(member[1] if member else str(counts[depth - 1]))
        yield line, ".".join(names)


def diff(delta: str | None, most: int = 2000) -> list[tuple[str, str]]:
    """(what it is, line) of a unified diff: added, gone, place or same; of a long one the beginning."""
    lines = (delta or "").replace("\\n", "\n").split("\n")
    shown = [(_kind(line), line) for line in lines[:most]]
    return shown if len(lines) <= most else [*shown, ("place", f"… {len(lines) - most} lines more")]


def _kind(line: str) -> str:
    if line.startswith("@@") or line.startswith(("+++", "---")):
        return "place"
    return {"+": "added", "-": "gone"}.get(line[:1], "same")
