"""Failpoints make a process die at a named moment, for the tests; production settings refuse them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.settings import ConfigError

HOOKS = "INGEST_TEST_HOOKS"
FAILPOINT = "INGEST_FAILPOINT"

MOMENTS = (
    "judge",
    "letter",
    "before_commit",
    "after_commit",
    "after_move",
    "after_ack",
    "replay_claimed",
    "replay_published",
    "replay_marked",
    "spool_written",
    "spool_synced",
    "spool_published",
    "spool_marked",
    "spool_removed",
)


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Kills this process with SIGKILL (or SIGABRT for `judge`) at `moment`; the empty one never does.

    With `marker`, only when the payload in hand contains it.
    """

    moment: str = ""
    marker: bytes = b""

    def reach(self, moment: str, payload: bytes = b"") -> None:
        """Die here if this is the moment."""
        if self.moment == moment and self.marker in payload:
            os.kill(os.getpid(), signal.SIGABRT if moment == "judge" else signal.SIGKILL)


def from_environment(environ: Mapping[str, str]) -> Failpoint:
    """`INGEST_FAILPOINT=moment[:marker]`, heeded only beside `INGEST_TEST_HOOKS=1`.

    Raises ConfigError when a failpoint is set without the hooks, or names no known moment.
    """
    wanted = environ.get(FAILPOINT, "")
    if not wanted:
        return Failpoint()
    if environ.get(HOOKS) != "1":
        raise ConfigError([f"{FAILPOINT} is for tests only: unset it (it kills workers on purpose)"])
    moment, _, marker = wanted.partition(":")
    if moment not in MOMENTS:
        raise ConfigError([f"{FAILPOINT}: {moment!r} is none of {', '.join(MOMENTS)}"])
    return Failpoint(moment, marker.encode())
