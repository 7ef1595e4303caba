"""What of a body is marked, how a diff is told apart, and how hours become bars."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ingest.console.marked import diff, marked
from ingest.console.views.chart import HEIGHT, bars

BODY = {"id": "x", "a": {"b": [1, {"id": "deep"}], "c": []}, 'quo"te': None, "list": [[1], [2]]}


@pytest.mark.parametrize(
    ("field", "lines"),
    [
        ("id", ['  "id": "x",']),
        ("a.b.1.id", ['        "id": "deep"']),
        ("a.b.0", ["      1,"]),
        ("a", ['  "a": {']),
        ("list.1.0", ["      2"]),
        ("b", []),
        ("nowhere", []),
        ("", []),
    ],
)
def test_the_member_that_a_path_names_is_marked_and_no_other_of_its_name(field: str, lines: list[str]) -> None:
    """However deep, in lists too."""
    text = json.dumps(BODY, indent=2)
    found = marked(text, {field})
    assert "\n".join(line.text for line in found) == text
    assert [line.text for line in found if line.hit] == lines


@pytest.mark.parametrize("text", ["", "no JSON", "        deep first", "}\n]\n", '  "a": 1', "\n\n  x\n      y"])
def test_text_that_is_no_json_is_shown_as_it_is(text: str) -> None:
    """Whatever it looks like."""
    assert "\n".join(line.text for line in marked(text, {"a.b"})) == text


def test_a_diff_s_lines_are_what_their_first_sign_says() -> None:
    """A long one ends with how much is missing."""
    kinds = [kind for kind, _ in diff("--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same")]
    assert kinds == ["place", "place", "place", "gone", "added", "same"]
    assert diff("+a\n" * 10, most=3)[-1] == ("place", "… 8 lines more")


def test_each_hour_is_a_bar_and_the_highest_fills_the_picture() -> None:
    """Also hours in which nothing began; what there is little of is still seen."""
    first = datetime(2026, 11, 22, 5, tzinfo=UTC)
    last = first + timedelta(hours=2, minutes=30)
    found = bars({first + timedelta(hours=1): {"good": 999, "bad": 1}}, first, last, ("good", "bad"))
    assert [each["total"] for each in found] == [0, 1000, 0]
    good, bad = found[1]["parts"]
    assert (good["name"], bad["name"], bad["height"]) == ("good", "bad", 1.0)
    assert good["y"] + good["height"] == HEIGHT
    assert bars({}, first, first, ("good",))[0]["parts"] == []
