"""Looks at what is in a spool, whoever writes or drains it, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ingest.spool.record import Damaged, Piece, Record, Torn, scan
from ingest.spool.segments import ASIDE, segments


@dataclass(frozen=True, slots=True)
class Contents:
    """What waits for the broker: messages, the bytes of their records, the UNIX time at which the oldest came. `aside`
    is how many records, or damaged stretches of some, wait for a person; `used` the bytes of all segments."""

    messages: int = 0
    bytes: int = 0
    oldest: int | None = None
    aside: int = 0
    used: int = 0


class _Looked(NamedTuple):
    stamp: tuple[int, int]
    waiting: tuple[tuple[int, int], ...]


class Looker:
    """Looks again and again, and reads anew only what has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _Looked] = {}

    def look(self) -> Contents:
        """What is there now. Raises OSError where it can't be read."""
        known, self._known = self._known, {}
        used = 0
        for path in segments(self._folder):
            try:
                stat = path.stat()
                used += stat.st_size
                stamp = stat.st_size, stat.st_mtime_ns
                looked = known.get(path)
                if looked is None or looked.stamp != stamp:
                    waiting = tuple((each.received, each.size) for each in waiting_in(path))
                    looked = _Looked(stamp, waiting)
                self._known[path] = looked
            except FileNotFoundError:
                # Drained under our eyes.
                continue
        found = [each for looked in self._known.values() for each in looked.waiting]
        return Contents(
            messages=len(found),
            bytes=sum(size for _, size in found),
            oldest=min((received for received, _ in found), default=None),
            aside=len(segments(self._folder / ASIDE)),
            used=used,
        )


def waiting_in(path: Path) -> Iterator[Record]:
    """The records of a segment that the broker does not have."""
    return (found for found in scan(path.read_bytes()) if isinstance(found, Record) and not found.drained)


def entries(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each message that waits, the oldest first, and then for each that is set aside. Raises OSError."""
    for path in segments(folder):
        yield from _rows(path, "waiting")
    for path in segments(folder / ASIDE):
        yield from _rows(path, "aside")


def _rows(path: Path, state: str) -> Iterator[dict[str, Any]]:
    try:
        found = list(scan(path.read_bytes()))
    except FileNotFoundError:
        return
    for each in found:
        # The end of a file may be in the middle of being written.
        if isinstance(each, Torn) or (isinstance(each, Damaged) and state == "waiting" and each is found[-1]):
            continue
        if isinstance(each, Damaged) or not each.drained:
            yield _row(path, state, each)


def _row(path: Path, state: str, found: Piece) -> dict[str, Any]:
    row: dict[str, Any] = {"state": state, "received_at": None, "kind": None, "door": None, "organization": None}
    row |= {"bytes": found.size, "segment": path.name, "offset": found.offset}
    if not isinstance(found, Record):
        return row | {"state": "damaged"}
    message = found.message
    received = datetime.fromtimestamp(found.received, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = {"received_at": received, "kind": message.kind, "door": message.door}
    return row | facts | {"organization": message.organization, "bytes": len(message.payload)}
