"""Commits one batch beside the loop that feeds it, and holds it through outages until it is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
import tenacity

from consumers.delivery import Batch, Committed, Judged
from consumers.errors import StoreUnavailable
from consumers.store.store import Store

HOLD_SECONDS = 120
"""How long an outage is sat out with the batch in hand. After that the deliveries go back to their queues,
where any worker can have them, and we wait outside for the database."""

FIRST_SECONDS = 0.1
"""The longest pause before the first new try; the later ones grow from there."""


class Committer:
    """At most one batch at a time, on a thread of its own, so that heartbeats go on while PostgreSQL works.

    `wake` is called, from that thread, when the batch is done.
    """

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        clock: Callable[[], float],
        on_error: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._wake = wake
        self._clock = clock
        self._on_error = on_error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._future: Future[Committed] | None = None
        self._give_up = threading.Event()
        self._held = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StoreUnavailable),
            # Jittered from the first: a fleet that was thrown out together must not come back as one.
            wait=tenacity.wait_random_exponential(multiplier=FIRST_SECONDS, max=10),
            sleep=tenacity.sleep_using_event(self._give_up),
            stop=tenacity.stop_any(
                tenacity.stop_when_event_set(self._give_up), tenacity.stop_after_delay(HOLD_SECONDS)
            ),
            after=lambda state: self._on_outage(state.outcome.exception() if state.outcome else None),
            reraise=True,
        )
        self.paused = ""
        """Why commits wait, while they do."""

    @property
    def busy(self) -> bool:
        """A batch is in hand: being committed, or done and not yet collected."""
        return self._future is not None

    def submit(self, batch: Batch[Judged]) -> None:
        """Start committing; only when not busy."""
        assert self._future is None
        self._future = self._thread.submit(self._commit, batch)
        self._future.add_done_callback(lambda _: self._wake())

    def wait(self, timeout: float) -> None:
        """Wait for the batch in hand, up to `timeout` seconds."""
        if self._future is not None:
            futures.wait([self._future], timeout)

    def collect(self) -> Committed | None:
        """The batch, once it is committed. Raises what stopped it for good: Misconfigured, or
        StoreUnavailable after `abandon` or HOLD_SECONDS of outage."""
        if self._future is None or not self._future.done():
            return None
        future, self._future = self._future, None
        return future.result()

    def abandon(self) -> None:
        """Stop holding the batch through an outage: it fails with StoreUnavailable at the next try."""
        self._give_up.set()

    def close(self) -> None:
        """Wait for the thread to end; call after `abandon` or when not busy."""
        self._give_up.set()
        self._thread.shutdown(wait=True)

    def _commit(self, batch: Batch[Judged]) -> Committed:
        began = self._clock()
        verdicts = self._held(self._store.commit, batch.items)
        if self.paused:
            structlog.get_logger().info("commits resumed", seconds=round(self._clock() - began, 1))
        self.paused = ""
        return Committed(batch, verdicts, self._clock() - began)

    def _on_outage(self, error: BaseException | None) -> None:
        if error is not None:
            self._on_error(error)
        why = str(error or "")
        if why != self.paused:
            structlog.get_logger().warning("commits paused", why=why, held=True)
        self.paused = why
