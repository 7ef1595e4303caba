"""Laws of the messages about one run: what they come to is the same in whatever order, and however often, they come."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_samples import judge_with, resource, run_end, run_start

from consumers.store.tables.runs import TELLINGS
from schemas.run_merge import COLLECTOR, REPORTS, End, Merged, Run, Start, first, is_reboot, is_strangers, merge

JUDGE = judge_with()
SECOND = "2026-11-22T03:34:21Z"
LATER = "2026-11-22T03:40:00Z"
"""When a message came."""


def exception(class_: Any) -> dict[str, Any]:
    return {"exception": {"class": class_, "message": "m", "backtrace": "[]", "description": {}}}


def told(message: Any) -> Run:
    """What a message of Reporting tells."""
    candidate: Any = JUDGE(message)
    return TELLINGS[candidate.kind].told(candidate.row)


def reported(**changes: Any) -> Run:
    return told(run_end(**changes))


R_START = told(run_start())
R_SUCCESS = reported()
R_REBOOT = reported(status="failure", data=exception("#<Chef::Exceptions::Reboot: Rebooting at a recipe's request>"))
R_FAILURE = reported(status="failure", data=exception("#<EncodingError: no>"), resources=[resource()] * 2)

WHOSE = R_START.start
C_START = Run(
    Start(*WHOSE[:3], WHOSE.start_time, started_by=COLLECTOR, entity_uuid="1f2e", source="chef_client",
          collector_start_extra='{"id":"x"}')
)  # fmt: skip
ROWS = ((0, "file", "/a", "/a"), (1, "service", "b", "b"), (2, "log", "c", "c"))


def collected(status: str, class_: str | None = None, **changes: Any) -> Run:
    """What a `run_converge` tells."""
    data = json.dumps(exception(class_)) if class_ else "{}"
    end = End(
        status, SECOND, data, COLLECTOR, run_list='["recipe[app]"]', total_res_count=40, updated_res_count=3,
        resource_counts='{"up-to-date":37,"updated":3}', policy_name="app", collector_end_extra='{"cookbooks":{}}',
    )  # fmt: skip
    start = Start(*WHOSE[:3], WHOSE.start_time, entity_uuid="1f2e", chef_server_fqdn="chef.example")
    return Run(start, end._replace(**changes), None, ROWS)


C_SUCCESS = collected("success")
C_REBOOT = collected("failure", "Chef::Exceptions::Reboot")
C_FAILURE = collected("failure", "EncodingError", updated_res_count=0)._replace(resources=())
MESSAGES = [R_START, R_SUCCESS, R_REBOOT, R_FAILURE, C_START, C_SUCCESS, C_REBOOT, C_FAILURE]


def teller(message: Run) -> Any:
    """The door by which it came."""
    return (message.end and message.end.ended_by) or message.start.started_by


def came_to(messages: Iterable[Run]) -> Run:
    """What they come to, in this order; none is a conflict. An end of Reporting whose run is unknown comes again."""
    line, known = deque(messages), None
    while line:
        message = line.popleft()
        if known is not None:
            merged = merge(known, message, teller(message))
            assert merged.differing == {}
            known = merged.run
        elif teller(message) == REPORTS and message.end is not None:
            line.append(message)
        else:
            known = first(message)
    assert known is not None
    return known._replace(sent=None)


@given(st.lists(st.sampled_from(MESSAGES), max_size=9), st.sampled_from([R_START, C_START, C_SUCCESS]), st.randoms())
def test_the_order_of_the_messages_makes_no_difference_nor_do_repeats(
    messages: list[Run], beginning: Run, random: Any
) -> None:
    """Any interleaving of both doors' starts and ends, each any number of times."""
    messages.append(beginning)
    once = came_to([each for each in MESSAGES if each in messages])
    random.shuffle(messages)
    assert came_to(messages) == once


def test_every_order_of_the_four_messages_of_a_usual_run_is_one_row() -> None:
    """The collector's word goes before Reporting's, and what only one of them tells is kept."""
    rows = {came_to(order) for order in permutations([R_START, C_START, R_SUCCESS, C_SUCCESS])}
    [run] = rows
    assert run.end is not None
    assert (run.start.started_by, run.start.start_extra) == ("both", R_START.start.start_extra)
    assert (run.start.collector_start_extra, run.start.chef_server_fqdn) == ('{"id":"x"}', "chef.example")
    assert (run.end.ended_by, run.end.total_res_count, run.end.updated_res_count) == ("both", 40, 3)
    assert (run.end.end_extra, run.end.collector_end_extra) == (R_SUCCESS.end.end_extra, '{"cookbooks":{}}')  # type: ignore[union-attr]
    assert (run.end.policy_name, run.resources) == ("app", ROWS)


@pytest.mark.parametrize(
    ("messages", "status", "reboot", "rows"),
    [
        ([R_START, R_SUCCESS], "success", None, R_SUCCESS.resources),
        ([R_START, R_SUCCESS, R_REBOOT], "success", R_REBOOT, R_SUCCESS.resources),
        ([R_START, R_SUCCESS, R_FAILURE], "failure", None, R_FAILURE.resources),
        ([R_START, R_REBOOT], "failure", R_REBOOT, R_REBOOT.resources),
        ([R_START, R_REBOOT, R_SUCCESS, R_FAILURE], "failure", R_REBOOT, R_FAILURE.resources),
        ([R_START, C_START, R_SUCCESS, C_SUCCESS, C_REBOOT], "success", C_REBOOT, ROWS),
        ([C_SUCCESS, C_REBOOT], "success", C_REBOOT, ROWS),
        ([R_START, R_SUCCESS, C_SUCCESS, C_FAILURE], "failure", None, ()),
    ],
)
def test_a_reboot_leaves_the_success_and_another_failure_does_not(
    messages: list[Run], status: str, reboot: Run | None, rows: Any
) -> None:
    """In each order of them; the exception of the reboot is noted."""
    for order in permutations(messages):
        run = came_to(order)
        assert run.end is not None
        assert (run.end.status, run.end.reboot) == (status, reboot and reboot.end and reboot.end.data)
        assert run.resources == rows


EARLY = Run(C_START.start._replace(start_time=LATER, start_guessed=True))
EARLY_END = Run(
    Start(*WHOSE[:3], LATER, start_guessed=True),
    End("failure", LATER, json.dumps(exception("E")), COLLECTOR, end_guessed=True), None, (),
)  # fmt: skip


def test_a_time_that_is_told_holds_against_one_that_is_guessed() -> None:
    """A run that fails before its clock starts has no times; whoever tells them is believed."""
    run = came_to([EARLY_END, EARLY])
    assert run.end is not None
    assert (run.start.start_time, run.start.start_guessed) == (LATER, True)
    assert (run.end.end_time, run.end.end_guessed) == (LATER, True)
    for order in permutations([EARLY, EARLY_END, R_START, R_FAILURE]):
        run = came_to(order)
        assert run.end is not None
        assert (run.start.start_time, run.start.start_guessed) == (WHOSE.start_time, False)
        assert (run.end.end_time, run.end.end_guessed) == (SECOND, False)


def test_a_start_that_comes_again_with_another_time_changes_nothing() -> None:
    """The first one stays."""
    for other in ("2026-11-22T03:34:19Z", LATER):
        again = Run(WHOSE._replace(start_time=other))
        assert merge(R_START, again, REPORTS) == Merged(R_START)


@pytest.mark.parametrize("standing", [R_SUCCESS, R_REBOOT, R_FAILURE])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"total_res_count": "4"}, "total_res_count"),
        ({"end_time": "2026-11-22 03:34:22 UTC"}, "end_time"),
        ({"odd": 1}, "odd"),
    ],
)
def test_the_same_outcome_told_otherwise_by_one_door_is_a_conflict(
    standing: Run, changes: dict[str, Any], named: str
) -> None:
    """The first one stays."""
    row = reported(**changes).sent
    sent = standing.sent._replace(**{name: getattr(row, name) for name in ("total_res_count", "end_time", "extra")})
    known = merge(R_START, standing, REPORTS).run
    run, differing = merge(known, TELLINGS["run_end"].told(sent), REPORTS)
    assert (run, set(differing)) == (known, {named})


def test_of_what_both_doors_told_another_time_is_a_conflict() -> None:
    """Whichever of them tells it; the other's words are not there to be compared."""
    known = came_to([R_START, R_SUCCESS, C_SUCCESS])
    for message, door in ((R_SUCCESS, REPORTS), (C_SUCCESS, COLLECTOR)):
        assert message.end is not None
        other = message._replace(end=message.end._replace(end_time=LATER))
        assert set(merge(known, other, door).differing) == {"end_time"}  # type: ignore[arg-type]
        assert merge(known, message._replace(end=message.end._replace(total_res_count=7)), door).differing == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("swapped", [False, True])
def test_an_end_that_names_another_start_is_a_conflict(swapped: bool) -> None:
    """It is not the same run's, whatever its outcome; the start that is not named agrees with every other."""
    assert R_FAILURE.end is not None
    other = R_FAILURE._replace(end=R_FAILURE.end._replace(end_start_time="2026-11-22T03:34:19Z"))
    ends = [other, R_SUCCESS] if swapped else [R_SUCCESS, other]
    known = merge(R_START, ends[0], REPORTS).run
    run, differing = merge(known, ends[1], REPORTS)
    assert (run, set(differing)) == (known, {"start_time"})
    assert ends[1].end is not None
    silent = ends[1]._replace(end=ends[1].end._replace(end_start_time=None))
    assert merge(known, silent, REPORTS).differing == {}


def test_a_door_does_not_tell_of_one_run_under_two_names_but_two_doors_may() -> None:
    """One reads the node from the URL, the other from the body: what came first stays, and is marked."""
    other = C_START._replace(start=C_START.start._replace(node_name="WEB01"))
    assert is_strangers(C_START, other, COLLECTOR)
    assert is_strangers(came_to([C_SUCCESS]), R_START._replace(start=other.start), COLLECTOR)
    assert not is_strangers(R_START, other, COLLECTOR)
    run = merge(R_START, other, COLLECTOR).run
    assert (run.start.node_name, run.start.door_mismatch) == (WHOSE.node_name, True)
    assert not is_strangers(run, other, COLLECTOR)


@pytest.mark.parametrize(
    ("class_", "reboot"),
    [
        ("Chef::Exceptions::Reboot", True),
        ("#<Chef::Exceptions::Reboot>", True),
        ("#<Chef::Exceptions::Reboot: #<Chef::Exceptions::RebootFailed: x>>", True),
        ("#<Chef::Exceptions::RebootFailed: x>", False),
        ("Chef::Exceptions::RebootPending", False),
        ("#<RuntimeError: Chef::Exceptions::Reboot>", False),
        (None, False),
        ({}, False),
    ],
)
def test_a_reboot_is_known_by_the_whole_name_of_its_class(class_: Any, reboot: bool) -> None:
    """There are others whose names begin like it."""
    assert is_reboot(R_FAILURE.end._replace(data=json.dumps(exception(class_)))) is reboot  # type: ignore[union-attr]


@pytest.mark.parametrize("data", ["{}", "[1]", '{"exception":null}', "[" * 5000, '{"exception":{"class":"\\ud800"}}'])
def test_strange_data_tell_of_no_reboot(data: str) -> None:
    """Whatever a sender put there is a failure."""
    assert is_reboot(R_FAILURE.end._replace(data=data)) is False  # type: ignore[union-attr]


def test_a_success_is_no_reboot_whatever_its_data_tell() -> None:
    """The status decides."""
    assert is_reboot(R_REBOOT.end._replace(status="success")) is False  # type: ignore[union-attr]
