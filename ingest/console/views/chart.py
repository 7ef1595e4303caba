"""Turns counts into the bars of a picture, in its own units. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

HEIGHT: Final = 100
STEP: Final = timedelta(hours=1)


def bars(
    counted: Mapping[datetime, Mapping[str, Any]], first: datetime, last: datetime, members: Sequence[str]
) -> list[dict[str, Any]]:
    """One bar an hour from `first` to `last`, 10 wide: `hour`, `total`, and `parts` from the ground up, each with its
    member, count, y and height; the highest bar is HEIGHT."""
    hours = [first + number * STEP for number in range(int((last - first) / STEP) + 1)]
    totals = {hour: sum(counted[hour][name] for name in members) if hour in counted else 0 for hour in hours}
    most = max(totals.values(), default=0) or 1
    return [
        {"hour": hour, "x": 10 * number, "total": totals[hour], "parts": _parts(counted.get(hour), members, most)}
        for number, hour in enumerate(hours)
    ]


def _parts(row: Mapping[str, Any] | None, members: Sequence[str], most: int) -> list[dict[str, Any]]:
    parts, ground = [], float(HEIGHT)
    for name in members:
        count = row[name] if row else 0
        if count:
            height = max(1.0, HEIGHT * count / most)
            ground -= height
            parts.append({"name": name, "count": count, "y": round(ground, 2), "height": round(height, 2)})
    return parts
