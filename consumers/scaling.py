"""What `scale N`, `+1`, `-1` and `auto` do to a fleet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from consumers.autopilot import Autopilot
from consumers.fleet import Fleet

MOST_WORKERS: Final = 256
"""More on one machine is a typing slip."""


def scale_to(to: str, fleet: Fleet, autopilot: Autopilot) -> Mapping[str, Any]:
    """Set the number of workers, or hand it to the autopilot; a number takes it back. The answer to the caller."""
    before = fleet.wanted
    if to == "auto":
        autopilot.engaged = True
        fleet.wanted = min(max(before, autopilot.band.least), autopilot.band.most)
        return {"workers": fleet.wanted, "before": before, "auto": f"{autopilot.band.least}..{autopilot.band.most}"}
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", to):
        return {"error": f"{to!r} is none of N, +N, -N, auto"}
    wanted = before + int(to) if to[0] in "+-" else int(to)
    if not 1 <= wanted <= MOST_WORKERS:
        return {"error": f"{wanted} workers: there must be 1 to {MOST_WORKERS}; stop the supervisor to have none"}
    autopilot.engaged = False
    fleet.wanted = wanted
    return {"workers": wanted, "before": before, "auto": ""}
