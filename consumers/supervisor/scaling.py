"""What `scale N`, `+1`, `-1` and `auto` do to a pool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from consumers.supervisor.autoscaler import Autoscaler
from consumers.supervisor.pool import Pool

MOST_WORKERS: Final = 256
"""More on one machine is a typing slip."""


def scale_to(to: str, pool: Pool, autoscaler: Autoscaler) -> Mapping[str, Any]:
    """Set the number of workers, or hand it to the autoscaler; a number takes it back. The answer to the caller."""
    before = pool.wanted
    if to == "auto":
        autoscaler.engaged = True
        pool.wanted = min(max(before, autoscaler.band.least), autoscaler.band.most)
        return {"workers": pool.wanted, "before": before, "auto": f"{autoscaler.band.least}..{autoscaler.band.most}"}
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", to):
        return {"error": f"{to!r} is none of N, +N, -N, auto"}
    wanted = before + int(to) if to[0] in "+-" else int(to)
    if not 1 <= wanted <= MOST_WORKERS:
        return {"error": f"{wanted} workers: there must be 1 to {MOST_WORKERS}; stop the supervisor to have none"}
    autoscaler.engaged = False
    pool.wanted = wanted
    return {"workers": wanted, "before": before, "auto": ""}
