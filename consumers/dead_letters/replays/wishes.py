"""What a replay is doing, from what it said last and whether it lives; and what somebody's wish makes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from schemas.labels import REPLAY_STATES, REPLAY_WISHES, ReplayState, ReplayWish

RUNNING, PAUSED, STOPPED, DONE, PAUSING, STOPPING, INTERRUPTED = REPLAY_STATES
RUN, PAUSE, STOP = REPLAY_WISHES
ENDED: Final = (STOPPED, DONE)


class Effect(Enum):
    """What a wish comes to."""

    ASK = auto()
    """Its process is asked, and heeds it within a second or so."""
    END = auto()
    """It has no process: it is stopped then and there."""
    CARRY = auto()
    """It has no process: whoever wishes carries it out himself."""
    ALREADY = auto()
    """It is so, or will be."""
    REFUSE = auto()
    """That can't be wished of it."""


_EFFECTS: Final[Mapping[ReplayWish, Mapping[ReplayState, Effect]]] = MappingProxyType(
    {
        PAUSE: {RUNNING: Effect.ASK, PAUSING: Effect.ALREADY, PAUSED: Effect.ALREADY},
        RUN: {
            PAUSING: Effect.ASK, PAUSED: Effect.ASK, RUNNING: Effect.ALREADY,
            INTERRUPTED: Effect.CARRY, STOPPED: Effect.CARRY,
        },
        STOP: {
            RUNNING: Effect.ASK, PAUSING: Effect.ASK, PAUSED: Effect.ASK, INTERRUPTED: Effect.END,
            STOPPING: Effect.ALREADY, STOPPED: Effect.ALREADY,
        },
    }
)  # fmt: skip


def state(said: ReplayState, wanted: ReplayWish, *, alive: bool) -> ReplayState:
    """What it is doing: `said` is what its process wrote last, `alive` that a session holds it."""
    if said in ENDED:
        return said
    if not alive:
        return INTERRUPTED
    if wanted == STOP:
        return STOPPING
    if wanted == PAUSE:
        return PAUSED if said == PAUSED else PAUSING
    return RUNNING


def effect(wish: ReplayWish, now: ReplayState) -> Effect:
    """What a wish comes to, of a replay in this state."""
    return _EFFECTS[wish].get(now, Effect.REFUSE)
