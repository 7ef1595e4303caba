"""Turns counts into the bars of a picture, in its own units. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from ingest.diagnostics.now.trend import told

HEIGHT: Final = 100
SPARK_WIDTH, SPARK_HEIGHT = 120, 24
STEP: Final = timedelta(hours=1)


class Spark(NamedTuple):
    """A series as lines, each the points of a polyline in SPARK_WIDTH by SPARK_HEIGHT; `words` for who sees none."""

    lines: Sequence[str]
    words: str


def spark(name: str, series: Sequence[int | None], unit: str = "") -> Spark:
    """Of a value a minute, the oldest first; where there is none the line has a gap."""
    values = told(series)
    if not values:
        return Spark((), f"{name}: nothing was told in the last {len(series)} minutes")
    most, step = max(values) or 1, SPARK_WIDTH / max(1, len(series) - 1)
    lines: list[list[str]] = [[]]
    for at, value in enumerate(series):
        if value is None:
            lines.append([])
            continue
        y = round(SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * value / most, 1)
        # A point by itself is a short line: a polyline of one point shows nothing.
        lines[-1] += [f"{step * at:.1f},{y}"] if lines[-1] else [f"{step * at:.1f},{y}", f"{step * at + 1:.1f},{y}"]
    words = (
        f"{name} in the last {len(series)} minutes: {min(values)} to {max(values)}{unit}, {values[-1]}{unit} at last"
    )
    return Spark(tuple(" ".join(line) for line in lines if line), words)


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
