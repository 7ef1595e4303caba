"""Watches what becomes of replayed letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from consumers.dead_letters.repository import Repository

POLL_SECONDS = 0.1


def settled(
    repository: Repository, ids: Collection[int], seconds: float, stopping: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Each letter as it is settled: id, state, stage, reason, details, resolution. Ends when all are, or, after a last
    look, when none has been for so many seconds or it is to stop."""
    pending = set(ids)
    heard = time.monotonic()
    while pending:
        last = stopping() or time.monotonic() - heard >= seconds
        found = repository.rows("replay_settled", ids=sorted(pending))
        for row in found:
            pending.discard(row["id"])
            heard = time.monotonic()
            yield row
        if last:
            return
        if not found:
            time.sleep(POLL_SECONDS)
