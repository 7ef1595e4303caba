"""The files of a spool: each has one writer, who appends, and then one drainer, who marks and removes."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from consumers.runtime.durable import sync_folder
from consumers.runtime.failpoints import Failpoint
from ingest.spool.record import DRAINED, PREAMBLE_BYTES, STATE_OFFSET, Damaged, Piece, Record, encode, preamble, scan
from schemas.message import Message

SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""A segment that has grown so large is followed by another: it is read whole, and removed whole."""
SUFFIX: Final = ".spool"
ASIDE: Final = "aside"
"""The folder in the spool's for what can't be sent: as segments, so that one that is moved back is tried again."""
_LOCK: Final = "lock"


def segments(folder: Path) -> list[Path]:
    """The oldest first; none where there is no folder. Raises OSError for one that can't be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


class Appender:
    """Appends to a segment of its own, which no drainer touches until it is sealed or this process has ended.

    `limit` is the bytes that all segments of the folder may have together.
    """

    def __init__(self, folder: Path, limit: int, failpoint: Failpoint) -> None:
        self._folder = folder
        self._limit = limit
        self._failpoint = failpoint
        self._file: int | None = None
        self._preamble = b""
        self._end = 0
        self._named = 0

    def append(self, messages: Sequence[tuple[Message, int]]) -> int:
        """Write messages and the UNIX times at which they came; on the disk when it returns. How many had room.

        Raises OSError: none of them is kept.
        """
        room = self._limit - sum(path.stat().st_size for path in segments(self._folder))
        try:
            file = self._opened()
            data, count = self._encoded(messages, room)
            if count:
                _write(file, data, self._end)
                self._failpoint.reach("spool_written", data)
                os.fsync(file)
                if not os.fstat(file).st_nlink:
                    raise FileNotFoundError(errno.ENOENT, "the segment was removed while it was written")
                self._failpoint.reach("spool_synced", data)
                self._end += len(data)
        except OSError:
            self._abandon()
            raise
        if self._end >= SEGMENT_BYTES:
            self.seal()
        return count

    def seal(self) -> None:
        """Leave the segment to the drainer; the next message begins another."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _encoded(self, messages: Iterable[tuple[Message, int]], room: int) -> tuple[bytes, int]:
        records: list[bytes] = []
        for message, received in messages:
            records.append(encode(self._preamble, message, received))
            room -= len(records[-1])
            if room < 0:
                records.pop()
                break
        return b"".join(records), len(records)

    def _opened(self) -> int:
        while self._file is None:
            make_folder(self._folder)
            self._named = max(self._named + 1, time.time_ns())
            path = self._folder / f"{self._named:020d}-{os.getpid()}{SUFFIX}"
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.fstat(file).st_nlink:
                # Removed by a drainer, which found it empty and nobody's.
                os.close(file)
                continue
            self._file, self._preamble, self._end = file, preamble(), PREAMBLE_BYTES
            _write(file, self._preamble, 0)
            sync_folder(self._folder)
        return self._file

    def _abandon(self) -> None:
        """What the last write left must not look as if it were kept, should there be a whole record in it."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            os.ftruncate(file, self._end)
        except OSError:
            # Then it is sent though its sender was told to send it again: repeated, not lost.
            pass
        finally:
            os.close(file)


class Sealed:
    """A segment that only we have: what waits in it, to be marked and, in the end, removed."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._data = _read(file)
        self.found: Sequence[Piece] = list(scan(self._data))

    def mark(self, records: Iterable[Record]) -> None:
        """The broker has these. Not synced: what a power cut takes of it is sent twice, and stored once."""
        for record in records:
            os.pwrite(self._file, DRAINED, record.offset + STATE_OFFSET)

    def set_aside(self, found: Record | Damaged) -> Path:
        """Keep a part of it where no drainer takes it from; on the disk when it returns. Where that is."""
        folder = self.path.parent / ASIDE
        make_folder(folder)
        path = folder / f"{self.path.stem}-{found.offset}{SUFFIX}"
        part = self._data[found.offset : found.offset + found.size]
        beginning = self._data[:PREAMBLE_BYTES] if found.offset else b""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(file, beginning + part, 0)
            os.fsync(file)
        finally:
            os.close(file)
        sync_folder(folder)
        return path

    def remove(self) -> None:
        """All of it is elsewhere."""
        self.path.unlink()
        sync_folder(self.path.parent)


@contextmanager
def sealed(path: Path) -> Iterator[Sealed | None]:
    """The segment, for us alone; None while it is written, or where another has removed it. Raises OSError."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield Sealed(path, file) if _taken(file) and os.fstat(file).st_nlink else None
    finally:
        os.close(file)


@contextmanager
def drainer_of(folder: Path) -> Iterator[bool]:
    """Whether we are the one that drains this folder, as long as the block runs. Raises OSError."""
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _taken(file)
    finally:
        os.close(file)


def make_folder(folder: Path) -> None:
    """Make it, for our eyes only, so that it outlives a power cut. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: int) -> bytes:
    size, parts, at = os.fstat(file).st_size, [], 0
    while part := os.pread(file, size - at, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _write(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
