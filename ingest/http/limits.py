"""What strangers may take of this process: places, bytes held for them, seconds; each with one bound."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

from schemas.settings import Settings

SPARE_FILES: Final = 100
"""Beside connections: the broker, the database, logs, and connections that are told there is no place."""

AWAY_BYTES: Final = 64 * 1024 * 1024
"""What is read away of a body whose answer is given already, so that a proxy passes that answer on."""

KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than proxies keep theirs, so that they don't write into a connection we are closing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections at once; bytes of one header and of all that is held; seconds that each state may take."""

    connections: int
    header_bytes: int
    held_bytes: int
    seconds: float
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.max_connections,
            settings.max_header_bytes,
            settings.max_held_bytes,
            settings.slow_client_seconds,
        )


class Held:
    """Counts what is held in memory for strangers: headers, bodies, what came too early, answers that nobody reads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0

    def take(self, size: int) -> bool:
        """Whether so many bytes more may be held; they then are, until given back."""
        if self.bytes + size > self.most:
            return False
        self.bytes += size
        return True

    def give(self, size: int) -> None:
        self.bytes -= size


def open_files(limits: Limits) -> None:
    """Let this process open as many files as its connections need, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + SPARE_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
