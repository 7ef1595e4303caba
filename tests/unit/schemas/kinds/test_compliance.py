"""A compliance report's controls are counted by what each came to, and its status follows from that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kind_examples import first, row_of, with_body

from schemas.kinds.compliance import KIND

PASSED, FAILED, SKIPPED = ({"results": [{"status": status}]} for status in ("passed", "failed", "skipped"))
WAIVED = {"results": [{"status": "failed"}], "waiver_data": {"justification": "known", "run": True}}
EXPIRED = WAIVED | {"waiver_data": {"justification": "known", "message": "Waiver expired on 2026-01-01"}}


def counted(profiles: Any, **members: Any) -> tuple[Any, ...]:
    """Passed, failed, skipped, waived and the status, of the example with other profiles."""
    body = json.loads(first(KIND.name).payload) | {"profiles": profiles} | members
    row: Any = row_of(with_body(first(KIND.name), body))
    return row.passed, row.failed, row.skipped, row.waived, row.status


def of(*controls: dict[str, Any]) -> tuple[Any, ...]:
    """The same, of one profile's controls."""
    return counted([{"controls": list(controls)}])


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ([PASSED, PASSED], (2, 0, 0, 0, "passed")),
        ([PASSED, FAILED, SKIPPED], (1, 1, 1, 0, "failed")),
        ([SKIPPED], (0, 0, 1, 0, "skipped")),
        ([{"results": []}, {}], (2, 0, 0, 0, "passed")),
        ([WAIVED], (0, 0, 0, 1, "waived")),
        ([WAIVED | {"waiver_data": {}}], (0, 1, 0, 0, "failed")),
        ([EXPIRED], (0, 1, 0, 0, "failed")),
        ([], (0, 0, 0, 0, "skipped")),
    ],
)
def test_a_control_counts_once_by_its_worst_result(controls: list[dict[str, Any]], expected: tuple[Any, ...]) -> None:
    """A waiver that has not expired stands for all of them; an empty one is none."""
    assert of(*controls) == expected


def test_one_failed_result_fails_its_control_and_one_skipped_skips_it() -> None:
    """However many others passed."""
    results = [{"status": "passed"}, {"status": "skipped"}, {"status": "failed"}]
    assert of({"results": results}) == (0, 1, 0, 0, "failed")
    assert of({"results": results[:2]}) == (0, 0, 1, 0, "skipped")


def test_results_that_were_cut_off_count_all_the_same() -> None:
    """A reporter leaves out results of a large report, and says how many of each."""
    assert of(PASSED | {"removed_results_counts": {"failed": 1, "skipped": 0, "passed": 4}}) == (0, 1, 0, 0, "failed")
    assert of(PASSED | {"removed_results_counts": {"failed": 0, "skipped": 0, "passed": 4}}) == (1, 0, 0, 0, "passed")


def test_controls_of_all_profiles_are_counted_and_a_broken_inspec_has_failed() -> None:
    """A profile without controls, such as one that was skipped, counts none."""
    assert counted([{"controls": [PASSED]}, {"controls": [FAILED]}, {}]) == (1, 1, 0, 0, "failed")
    assert counted([{"controls": [PASSED]}], status="failed") == (1, 0, 0, 0, "failed")
