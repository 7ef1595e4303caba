"""What operators pause is obeyed: by whom it is meant, again and again, and while the database is away too."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import structlog
from hypothesis import given
from hypothesis import strategies as st

from consumers.errors import StoreUnavailable
from consumers.machines.holding import LOOK_SECONDS, Holding
from consumers.machines.pauses import EVERY_QUEUE, EVERYWHERE, PAUSABLE, Pause, held
from schemas.topology import ACTIONS, PINGS, QUARANTINE, RUNS

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def pause(queue: str = EVERY_QUEUE, host: str = EVERYWHERE) -> Pause:
    return Pause(queue, host, "ann", "a new disk", NOW)


class Servers:
    """A store that tells of pauses, a source that holds, and a clock."""

    def __init__(self) -> None:
        self.paused: list[Pause] = []
        self.held: list[set[str]] = []
        self.away = False
        self.now = 0.0

    def pauses(self) -> list[Pause]:
        if self.away:
            raise StoreUnavailable("away")
        return self.paused

    def hold(self, queues: Collection[str]) -> None:
        self.held.append(set(queues))

    def holding(self, *queues: str) -> Holding:
        return Holding(self, queues, "here", structlog.get_logger(), lambda: self.now)


pauses = st.builds(pause, st.sampled_from([EVERY_QUEUE, *PAUSABLE]), st.sampled_from([EVERYWHERE, "here", "elsewhere"]))


@given(st.lists(pauses))
def test_a_queue_is_held_exactly_where_a_pause_means_it(every: list[Pause]) -> None:
    """By its name or as one of all, for this machine or for all; of pings nothing is ever held."""
    found = held(every, "here")
    for queue in (*PAUSABLE, PINGS):
        meant = [
            each for each in every if each.queue in (queue, EVERY_QUEUE) and each.host in ("here", EVERYWHERE)
        ]  # fmt: skip
        assert (queue in found) == bool(meant and queue != PINGS)
        assert queue not in found or found[queue] in meant


def test_a_pause_is_obeyed_within_seconds_and_outlasts_an_outage() -> None:
    """It is told to the source at every look, since one may be passed over; an outage changes nothing of it."""
    servers = Servers()
    holding = servers.holding(ACTIONS, RUNS, PINGS)
    holding.look()
    servers.paused = [pause(RUNS)]
    holding.step(servers)
    assert servers.held == [], "no sooner than it looks again"
    servers.now += LOOK_SECONDS
    holding.step(servers)
    servers.away = True
    servers.now += LOOK_SECONDS
    holding.step(servers)
    assert servers.held == [{RUNS}, {RUNS}]
    servers.away, servers.paused = False, []
    servers.now += LOOK_SECONDS
    holding.step(servers)
    assert servers.held[-1] == set()


def test_a_worker_rests_once_nothing_is_left_to_store() -> None:
    """Pings are no work; who paused what and why is said."""
    servers = Servers()
    holding, suspects = servers.holding(ACTIONS, RUNS, PINGS), servers.holding(QUARANTINE)
    servers.paused = [pause(ACTIONS, "here")]
    for each in (holding, suspects):
        each.look()
    assert (holding.resting, suspects.resting) == (False, False)
    assert holding.why == f"queue {ACTIONS} is paused on here by ann: a new disk"
    servers.paused = [pause()]
    for each in (holding, suspects):
        each.look()
    assert (holding.resting, suspects.resting) == (True, True)
    assert holding.why == "every queue is paused by ann: a new disk"
