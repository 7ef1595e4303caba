"""What an error of the file system tells: that something is not there, or nothing at all."""

from __future__ import annotations

import errno
from typing import Final

ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""There is no such file. Anything else (too many open files, a stale mount, no permission) tells nothing of it."""
