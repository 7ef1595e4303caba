"""Laws of several ends of one run: what comes of them is the same in whatever order, and however often, they come."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_samples import judge_with, resource, run_end

from schemas.run_merge import Ending, first, is_reboot, merge

JUDGE = judge_with()


def exception(class_: Any) -> dict[str, Any]:
    return {"exception": {"class": class_, "message": "m", "backtrace": "[]", "description": {}}}


def end(**changes: Any) -> Any:
    return JUDGE(run_end(**changes)).row  # type: ignore[union-attr]


SUCCESS = end()
REBOOT = end(status="failure", data=exception("#<Chef::Exceptions::Reboot: Rebooting at a recipe's request>"))
FAILURE = end(status="failure", data=exception("#<Encoding::UndefinedConversionError: no>"), resources=[resource()] * 2)


def told(ends: Any) -> Ending:
    """What comes of ends, in the order in which they come; none of them is a conflict."""
    ending = first(ends[0])
    for each in ends[1:]:
        ending, differing = merge(ending, each)
        assert differing == {}
    return ending


@given(st.lists(st.sampled_from([SUCCESS, REBOOT, FAILURE]), min_size=1, max_size=9), st.randoms())
def test_the_order_of_the_ends_makes_no_difference_nor_do_repeats(ends: list[Any], random: Any) -> None:
    """Any interleaving, with every end any number of times."""
    once = told(list(dict.fromkeys(ends)))
    random.shuffle(ends)
    assert told(ends) == once


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([SUCCESS], Ending(SUCCESS, None)),
        ([SUCCESS, REBOOT], Ending(SUCCESS, REBOOT.data)),
        ([SUCCESS, FAILURE], Ending(FAILURE, None)),
        ([REBOOT], Ending(REBOOT, REBOOT.data)),
        ([REBOOT, SUCCESS, FAILURE], Ending(FAILURE, REBOOT.data)),
    ],
)
def test_a_reboot_leaves_the_success_and_another_failure_does_not(ends: list[Any], expected: Ending) -> None:
    """In each order of them."""
    assert {told(order) for order in permutations(ends)} == {expected}


@pytest.mark.parametrize("standing", [SUCCESS, REBOOT, FAILURE])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"total_res_count": "4"}, "total_res_count"),
        ({"end_time": "2026-11-22 03:34:22 UTC"}, "end_time"),
        ({"odd": 1}, "odd"),
    ],
)
def test_the_same_outcome_told_otherwise_is_a_conflict(standing: Any, changes: dict[str, Any], named: str) -> None:
    """The first one stays."""
    row = end(**changes)
    sent = standing._replace(**{name: getattr(row, name) for name in ("total_res_count", "end_time", "extra")})
    ending, differing = merge(first(standing), sent)
    assert (ending, set(differing)) == (first(standing), {named})


@pytest.mark.parametrize("ends", list(permutations([SUCCESS, FAILURE._replace(start_time="2026-11-22T03:34:19Z")])))
def test_an_end_that_names_another_start_is_a_conflict(ends: tuple[Any, Any]) -> None:
    """It is not the same run's, whatever its outcome; the start that is not named agrees with every other."""
    ending, differing = merge(first(ends[0]), ends[1])
    assert (ending, set(differing)) == (first(ends[0]), {"start_time"})
    assert merge(first(ends[0]), ends[1]._replace(start_time=None)).differing == {}


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
    assert is_reboot(end(status="failure", data=exception(class_))) is reboot


@pytest.mark.parametrize("data", ["{}", "[1]", '{"exception":null}', "[" * 5000, '{"exception":{"class":"\\ud800"}}'])
def test_strange_data_tell_of_no_reboot(data: str) -> None:
    """Whatever a sender put there is a failure."""
    assert is_reboot(FAILURE._replace(data=data)) is False


def test_a_success_is_no_reboot_whatever_its_data_tell() -> None:
    """The status decides."""
    assert is_reboot(REBOOT._replace(status="success")) is False
