"""What holds of a node is the latest that was told of it, whatever the order in which it came."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.node_state import NodeState, latest

NOBODY = NodeState("ponyville", "web01")
OLD, NEW = "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"


def run(run_id: str, at: str, status: str, *, reboot: bool = False, node: str | None = None) -> NodeState:
    told_at = None if status == "started" else at
    return NOBODY._replace(
        run_id=run_id, start_time=at, status=status, reboot=reboot, told_at=told_at, node=node, node_hash=node
    )


TOLD = [
    run("1", OLD, "started"),
    run("1", OLD, "success", node="old"),
    run("2", NEW, "started"),
    run("2", NEW, "success", node="new"),
    run("2", NEW, "failure", reboot=True, node="new"),
    run("3", NEW, "failure"),
    NOBODY._replace(pinged_at=OLD),
    NOBODY._replace(pinged_at=NEW),
]


@given(st.lists(st.sampled_from(TOLD), max_size=10), st.randoms())
def test_the_order_makes_no_difference_nor_do_repeats(told: list[NodeState], chance: object) -> None:
    """Any messages about one node, each any number of times."""
    once = reduce(latest, [each for each in TOLD if each in told], NOBODY)
    chance.shuffle(told)  # type: ignore[attr-defined]
    assert reduce(latest, told, NOBODY) == once


def test_a_failure_holds_against_a_success_and_a_success_against_a_reboot() -> None:
    """In each order of the ends of one run."""
    ends = [run("1", NEW, "success"), run("1", NEW, "failure", reboot=True), run("1", NEW, "started")]
    for order in permutations(ends):
        assert reduce(latest, order, NOBODY).status == "success"
    for order in permutations([*ends, run("1", NEW, "failure")]):
        assert reduce(latest, order, NOBODY)[3:5] == ("failure", False)


def test_a_run_without_a_node_object_leaves_the_one_that_is_known() -> None:
    """A newer run that died early; where none is known, what it says of itself is all there is."""
    state = reduce(latest, [TOLD[1], TOLD[5]], NOBODY)
    assert (state.run_id, state.node, state.told_at) == ("3", "old", OLD)
    assert latest(NOBODY, TOLD[5]).told_at == NEW


def test_a_node_object_that_is_stored_is_not_written_again() -> None:
    """It is known by its hash: of the same one only the time is new."""
    stored = TOLD[1]._replace(node=None)
    again = run("2", NEW, "success", node="old")
    assert latest(stored, again)[-1] is None
    assert latest(stored, again).told_at == NEW
    assert latest(stored, TOLD[3]).node == "new"


def test_what_tells_nothing_new_changes_nothing() -> None:
    """So that nothing is written for it."""
    state = reduce(latest, TOLD, NOBODY)
    assert all(latest(state, each) is state for each in TOLD)
