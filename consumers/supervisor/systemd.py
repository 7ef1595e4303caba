"""What systemd is told of a supervisor: ready when a worker consumes, alive while no worker hangs."""

from __future__ import annotations

from typing import Final

from consumers.runtime.systemd import Notifier
from consumers.supervisor.pool import Pool

WAITING_SECONDS: Final = 30.0
"""An outage must not keep a boot waiting: after this we are ready, and say what we wait for."""


class Systemd:
    """Times are seconds of the monotonic clock."""

    def __init__(self, notifier: Notifier, began: float) -> None:
        self._notifier = notifier
        self._began = began
        self._ready = self._reloading = False
        self._said_alive = float("-inf")

    def reloading(self) -> None:
        """A roll begins."""
        self._reloading = True
        self._notifier.reloading()

    def not_reloaded(self) -> None:
        """It does not: the configuration has faults."""
        self._reloading = False
        self._notifier.ready("not reloaded: the configuration has faults")

    def stopping(self) -> None:
        """We are on our way out."""
        self._notifier.stopping()

    def tell(self, pool: Pool, rate: float, now: float) -> None:
        """Called each turn."""
        workers = pool.described()
        consuming = pool.at_work() > 0
        why = "" if consuming else next((f", waiting: {row['why']}" for row in workers if row["why"]), "")
        status = f"{len(workers)} workers, {rate:.0f} messages/s{why}"
        if not self._ready and (consuming or now - self._began > WAITING_SECONDS):
            self._ready = True
            self._notifier.ready(status)
        if self._reloading and not pool.rolling:
            self._reloading = False
            self._notifier.ready(status)
        if now - self._said_alive >= max(1.0, self._notifier.watchdog_seconds / 4) and pool.progressing:
            self._said_alive = now
            self._notifier.alive(status)
