"""Which queues a worker consumes: a lane for the crowd, and one for suspects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.labels import LANES, LaneName
from schemas.settings import Settings
from schemas.topology import DEAD, PINGS, PREFETCH, QUARANTINE


@dataclass(frozen=True, slots=True)
class Lane:
    """Which queues a worker consumes, with the prefetch of each, and how many messages it commits at once."""

    name: LaneName
    queues: Mapping[str, int]
    batch_messages: int


def main_lane(settings: Settings) -> Lane:
    """The lane that every worker but one runs."""
    queues = {queue: getattr(settings, prefetch) for queue, prefetch in PREFETCH.items()} | {DEAD: 100, PINGS: 10}
    return Lane("main", queues, settings.batch_messages)


def quarantine_lane(_settings: Settings) -> Lane:
    """The lane for suspects: one message at a time, so that whatever it does, it does to itself."""
    return Lane("quarantine", {QUARANTINE: 1}, 1)


BY_NAME: Mapping[str, Callable[[Settings], Lane]] = dict(zip(LANES, (main_lane, quarantine_lane), strict=True))
