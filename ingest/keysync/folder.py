"""Files of keys, changed one by one so that a shim finds the old one or the new one, and by one sync at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ingest.access.keys import LARGEST_FILE

_NEW: Final = ".new"
"""What a file is called until it is whole; no shim reads it."""


class FolderBusy(Exception):
    """Another sync works on this folder; the message says so."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other sync does; the lock ends with its process. Raises FolderBusy, OSError."""
    descriptor = os.open(folder / ".sync.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusy(f"another `keys sync` works on {folder}") from None
        yield
    finally:
        os.close(descriptor)


class KeyFiles:
    """The files of one folder, by the names of whose keys they hold. Whatever it does may raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> set[str]:
        """Whose keys there are."""
        return {path.stem for path in self._folder.glob("*.pem")}

    def read(self, name: str) -> bytes | None:
        """What the file holds, as far as one may go; None where there is none."""
        try:
            with self._path(name).open("rb") as file:
                return file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Whole and on the disk before it counts. Anybody may read it: a shim is another user perhaps."""
        self._made(self._folder)
        path = self._path(name)
        new = path.with_name(f".{name}{_NEW}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def remove(self, name: str) -> None:
        """The file, or a link in its place."""
        self._path(name).unlink(missing_ok=True)

    def settle(self) -> None:
        """What was done here outlives a crash; what a killed sync left is cleared away."""
        if not self._folder.is_dir():
            return
        for left in self._folder.glob(f".*{_NEW}"):
            left.unlink(missing_ok=True)
        _synced(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.pem"

    def _made(self, folder: Path) -> None:
        if not folder.is_dir():
            self._made(folder.parent)
            folder.mkdir()
            folder.chmod(0o755)
            _synced(folder.parent)


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
