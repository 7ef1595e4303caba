"""Lets a pool follow its backlog: looks every few seconds, decides, and sets how many workers are wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import structlog

from consumers.supervisor.autoscale import Band, Memory, Sight, decide, within_room
from consumers.supervisor.meter import Meter
from consumers.supervisor.monitor import LOOK_SECONDS, Monitor
from consumers.supervisor.pool import Pool
from schemas.labels import HELD_UP

NOT_YET: Final = float("inf")


@dataclass(slots=True)
class Autoscaler:
    """On while `engaged`. `band` holds the bounds."""

    band: Band
    engaged: bool
    _memory: Memory = field(default_factory=Memory)
    _looked_at: float = float("-inf")
    _whole_since: float = NOT_YET
    _short: bool = False

    def steer(self, pool: Pool, meter: Meter, monitor: Monitor, now: float) -> None:
        """Set the pool's size, should a new look say so. An old look, or none, changes nothing."""
        if not self.engaged or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        if monitor.broker_fault or now - monitor.seen_at > 3 * LOOK_SECONDS:
            return
        if pool.at_work() < pool.wanted:
            self._whole_since = NOT_YET
        elif self._whole_since == NOT_YET:
            self._whole_since = now
        held_up = any(row["state"] in HELD_UP.values() for row in pool.described())
        sight = Sight(now, monitor.backlog, meter.rate(now), pool.at_work(), held_up)
        wanted, self._memory = decide(self.band, sight, pool.wanted, self._memory)
        wanted = self._allowed(wanted, pool.wanted, monitor)
        if wanted != pool.wanted:
            structlog.get_logger().info(
                "scaled",
                workers=wanted,
                before=pool.wanted,
                backlog=sight.backlog,
                rate=round(sight.rate, 1),
                target_seconds=self.band.target_seconds,
            )
            if wanted > pool.wanted:
                # Those added may consume before the next look at them: whole again no sooner than that.
                self._whole_since = NOT_YET
            pool.wanted = wanted

    def _allowed(self, wanted: int, current: int, monitor: Monitor) -> int:
        """No more than the database has connections for; said once, until all that is wanted is allowed again."""
        if wanted <= current:
            return wanted
        if monitor.room is not None and monitor.room_seen_at < self._whole_since:
            # Workers added last were not connected yet when the database was looked at: they have yet to take room.
            return current
        allowed = within_room(wanted, current, monitor.room)
        if allowed < wanted and not self._short:
            structlog.get_logger().warning(
                "not scaled as wanted",
                why=monitor.database_fault or "the database has no connections left for more workers",
                wanted=wanted,
                workers=allowed,
                room=monitor.room,
                remedy="raise max_connections (or the limit of the database or the user), or end other sessions",
            )
        self._short = allowed < wanted
        return allowed
