"""Lets a fleet follow its backlog: looks every few seconds, decides, and sets how many workers are wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from consumers.autoscale import Band, Memory, Sight, decide
from consumers.fleet import Fleet
from consumers.meter import Meter
from consumers.outlook import LOOK_SECONDS, Outlook


@dataclass(slots=True)
class Autopilot:
    """On while `engaged`. `band` holds the bounds."""

    band: Band
    engaged: bool
    _memory: Memory = field(default_factory=Memory)
    _looked_at: float = float("-inf")

    def steer(self, fleet: Fleet, meter: Meter, outlook: Outlook, now: float) -> None:
        """Set the fleet's size, should a new look say so. An old look, or none, changes nothing."""
        if not self.engaged or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        if outlook.broker_fault or now - outlook.seen_at > 3 * LOOK_SECONDS:
            return
        held_up = any(row["state"] in ("paused", "waiting") for row in fleet.described())
        sight = Sight(now, outlook.backlog, meter.rate(now), fleet.consuming(), held_up)
        wanted, self._memory = decide(self.band, sight, fleet.wanted, self._memory)
        if wanted != fleet.wanted:
            structlog.get_logger().info(
                "scaled",
                workers=wanted,
                before=fleet.wanted,
                backlog=sight.backlog,
                rate=round(sight.rate, 1),
                target_seconds=self.band.target_seconds,
            )
            fleet.wanted = wanted
