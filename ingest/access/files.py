"""What is in a file, and what an error of the file system tells: that it is not there, or nothing at all."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Final

ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""There is no such file. Anything else (too many open files, a stale mount, no permission) tells nothing of it."""


def content(path: Path) -> bytes:
    """The bytes of a file. Raises OSError; a pipe counts as none: whoever opens it waits for its writer, and with him
    all requests."""
    if stat.S_ISFIFO(path.stat().st_mode):
        raise OSError(errno.ENOENT, "it is a pipe, and no file")
    return path.read_bytes()
