"""Commits one batch beside the loop that feeds it, and holds it through outages until it is stored."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import structlog

from consumers.delivery import Batch, Committed, Judged
from consumers.errors import StoreUnavailable
from consumers.worker.guard import FaultGuard, guarded_commit
from consumers.worker.seams import Store
from schemas.verdict import Verdict

Backoff = Callable[[int], float]
"""The number of tries so far -> seconds until the next one."""


def backoff(attempt: int, longest: float = 10.0) -> float:
    """Seconds to wait before try number `attempt`: full jitter, so that many workers do not come back as one."""
    return random.uniform(0.05, min(longest, 0.2 * 2.0 ** min(attempt, 16)))


class Committer:
    """At most one batch at a time, beside the loop, so that heartbeats go on while PostgreSQL works.

    An outage is sat out with the batch in hand, however long: given back it would come again, and count as a try at
    every message in it. `wake` is called when a try has ended. Times are seconds of `clock`.
    """

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        clock: Callable[[], float],
        on_error: Callable[[BaseException], None] = lambda _: None,
        *,
        executor: Executor | None = None,
        pause: Backoff = backoff,
        guard: FaultGuard | None = None,
    ) -> None:
        self._guard = guard or FaultGuard()
        self._store = store
        self._wake = wake
        self._clock = clock
        self._on_error = on_error
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._pause = pause
        self._batch: Batch[Judged] | None = None
        self._future: Future[tuple[list[Verdict], float]] | None = None
        self._error: StoreUnavailable | None = None
        self._abandoned = False
        self._began = self._try_at = 0.0
        self._tries = 0
        self.paused = ""
        """Why commits wait, while they do."""

    @property
    def busy(self) -> bool:
        """A batch is in hand: being committed, waiting to be, or done and not yet collected."""
        return self._batch is not None

    def submit(self, batch: Batch[Judged]) -> None:
        """Start committing; only when not busy."""
        assert self._batch is None
        self._batch, self._began, self._tries = batch, self._clock(), 0
        self._try()

    def patience(self, longest: float) -> float:
        """How long the loop may sleep, `longest` at most: the end of a try wakes it, the time of the next does not."""
        return longest if self._future is not None else max(0.0, min(longest, self._try_at - self._clock()))

    def wait(self, timeout: float) -> None:
        """Sleep until the try under way has ended or the next is due, up to `timeout` seconds."""
        if self._future is not None:
            futures.wait([self._future], timeout)
        else:
            time.sleep(self.patience(timeout))

    def collect(self) -> Committed | None:
        """The batch, once it is committed; tries again when that is due.

        Raises Misconfigured, and after `abandon` StoreUnavailable: the batch is not in hand any more then.
        """
        if self._batch is None:
            return None
        if self._future is None:
            self._try_again()
            return None
        if not self._future.done():
            return None
        future, self._future = self._future, None
        batch = self._batch
        try:
            verdicts, ended = future.result()
        except StoreUnavailable as error:
            self._on_outage(error)
            return None
        except BaseException:
            self._batch = None
            raise
        self._batch = None
        if self.paused:
            structlog.get_logger().info("commits resumed", seconds=round(ended - self._began, 1))
        self.paused = ""
        return Committed(batch, verdicts, ended - self._began)

    def abandon(self) -> None:
        """Hold the batch through no further outage: once its try has failed it is let go."""
        self._abandoned = True

    def close(self) -> None:
        """Wait for the try under way to end."""
        self._executor.shutdown(wait=True)

    def _try(self) -> None:
        assert self._batch is not None
        self._tries += 1
        self._future = self._executor.submit(self._commit, self._batch)
        self._future.add_done_callback(lambda _: self._wake())

    def _try_again(self) -> None:
        if self._abandoned and self._error is not None:
            self._batch = None
            raise self._error
        if self._clock() >= self._try_at:
            self._try()

    def _commit(self, batch: Batch[Judged]) -> tuple[list[Verdict], float]:
        return guarded_commit(self._store, batch.items, self._guard), self._clock()

    def _on_outage(self, error: StoreUnavailable) -> None:
        self._on_error(error)
        why = str(error)
        if why != self.paused:
            structlog.get_logger().warning("commits paused", why=why, held=True)
        self.paused = why
        if self._abandoned:
            self._batch = None
            raise error
        self._error = error
        self._try_at = self._clock() + self._pause(self._tries)
