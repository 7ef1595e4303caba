"""A body's text as it is shown and typed: what was not shown is there again, where it was left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.console.views.letters.text import difference, restored

WHOLE = """{
  "password": {
    "old": "secret1"
  },
  "name": "x",
  "data": {
    "token": "secret2",
    "last": 1
  }
}"""
SEEN = """{
  "password": "[redacted]",
  "name": "x",
  "data": {
    "token": "[redacted]",
    "last": 1
  }
}"""


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (SEEN, WHOLE),
        (SEEN.replace('"x"', '"y"'), WHOLE.replace('"x"', '"y"')),
        (
            SEEN.replace('"last": 1', '"last": 2,\n    "more": 3'),
            WHOLE.replace('"last": 1', '"last": 2,\n    "more": 3'),
        ),
        (SEEN.replace('  "password": "[redacted]",\n', ""), WHOLE.replace(WHOLE[2:44], "")),
        ("{}", "{}"),
    ],
    ids=["nothing", "beside", "below", "one gone", "all gone"],
)
def test_what_was_not_shown_is_sent_as_it_was_where_its_line_was_left_alone(typed: str, sent: str) -> None:
    """What was typed is sent as it was typed."""
    assert restored(WHOLE, SEEN, typed) == sent


def test_what_is_typed_over_what_was_not_shown_is_what_was_typed() -> None:
    """And the rest is untouched."""
    typed = SEEN.replace('"token": "[redacted]"', '"token": "mine"')
    assert restored(WHOLE, SEEN, typed) == WHOLE.replace("secret2", "mine")


LINES = st.lists(st.sampled_from(["a", "b", "{", "}", ""]), max_size=8).map("\n".join)


@given(LINES, LINES)
def test_where_all_was_shown_what_is_typed_is_sent(seen: str, typed: str) -> None:
    """Whatever it is."""
    assert restored(seen, seen, typed) == typed


@given(LINES, LINES)
def test_what_was_left_as_it_was_shown_is_sent_as_it_was(whole: str, seen: str) -> None:
    """However little of it was shown."""
    assert restored(whole, seen, seen) == whole


def test_a_difference_is_told_in_lines() -> None:
    """With a sign before each, for who sees no colour."""
    lines = difference(SEEN, SEEN.replace('"x"', '"y"')).splitlines()
    assert [line for line in lines[3:] if line[:1] in "+-"] == ['-  "name": "x",', '+  "name": "y",']
    assert difference(SEEN, SEEN) == ""
