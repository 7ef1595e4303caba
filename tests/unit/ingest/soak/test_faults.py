"""The faults of a soak are those of its seed."""

from __future__ import annotations

from itertools import islice

from ingest.soak.faults import HOLD_SECONDS, PAUSE_SECONDS, plan

NAMES = ("worker killed", "broker stopped", "table locked", "database slow", "shim killed")


def taken(seed, *, drawing):
    """The first twelve; what they draw themselves, as they do when they find so many workers."""
    found = []
    for number, each in enumerate(islice(plan(seed, NAMES), 12)):
        found.append((each.name, each.hold, each.pause, each.random.random()))
        for _ in range(number if drawing else 0):
            each.random.random()
    return found


def test_a_seed_plans_the_same_faults_whatever_each_of_them_draws():
    """How many workers there are to choose from when one comes changes nothing of the next."""
    assert taken(4, drawing=True) == taken(4, drawing=False)
    assert taken(5, drawing=False) != taken(4, drawing=False)


def test_every_fault_comes_once_before_any_comes_again():
    """Each for as long, and with such a pause, as a soak has time for."""
    planned = list(islice(plan(7, NAMES), 2 * len(NAMES)))
    rounds = (planned[: len(NAMES)], planned[len(NAMES) :])
    assert [sorted(each.name for each in those) for those in rounds] == [sorted(NAMES)] * 2
    assert all(HOLD_SECONDS[0] <= each.hold <= HOLD_SECONDS[1] for each in planned)
    assert all(PAUSE_SECONDS[0] <= each.pause <= PAUSE_SECONDS[1] for each in planned)
