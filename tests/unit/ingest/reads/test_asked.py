"""What a query asks for: within bounds, and every fault of it said."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reads import asked
from ingest.reads.asked import Senseless

NOW = datetime(2026, 11, 21, 19, 32, 49, tzinfo=UTC)


def test_runs_are_those_of_the_last_day_unless_another_window_is_named() -> None:
    """As knife-reporting has it; ten of them."""
    wanted = asked.runs({}, NOW)
    assert (wanted.window.since, wanted.window.until) == (NOW - timedelta(days=1), NOW)
    assert (wanted.rows, wanted.start, wanted.status, wanted.after) == (10, 0, None, None)
    other = asked.runs({"from": "0", "until": "86400"}, NOW).window
    assert (other.since.isoformat(), other.until.isoformat()) == (
        "1970-01-01T00:00:00+00:00",
        "1970-01-02T00:00:00+00:00",
    )
    assert asked.runs({"until": "5"}, NOW).window.since.isoformat() == "1970-01-01T00:00:00+00:00"


def test_the_longest_window_that_the_gem_asks_for_is_taken() -> None:
    """It refuses more than 7,889,230 seconds by itself."""
    until = int(NOW.timestamp())
    assert asked.runs({"from": str(until - 7_889_230), "until": str(until)}, NOW).rows == 10


@given(
    st.dictionaries(
        st.sampled_from(["from", "until", "rows", "start", "status", "cursor", "detail", "page"]), st.text()
    )
)
def test_whatever_is_asked_is_understood_or_refused(query: dict[str, str]) -> None:
    """Within the bounds, or with a fault; never another error."""
    for read in (
        lambda: asked.runs(query, NOW).rows,
        lambda: asked.resources(query).rows,
        lambda: asked.actions(query).rows,
    ):
        with contextlib.suppress(Senseless):
            assert 1 <= read() <= asked.MOST_RESOURCES


def test_every_fault_is_said_at_once() -> None:
    """Who mends one finds no second one behind it."""
    with pytest.raises(Senseless) as raised:
        asked.runs({"rows": "١", "start": "1e3", "status": "", "from": "1", "until": "0", "cursor": "x"}, NOW)
    assert [fault.partition(":")[0] for fault in raised.value.faults] == [
        "from",
        "rows",
        "start",
        "status",
        "cursor",
        "cursor",
    ]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-21T19:32:49Z", "2026-11-21T19:32:49Z"),
        ("2026-11-21T19:32:49.250Z", "2026-11-21T19:32:49.250Z"),
        ("2026-11-21T19:32:49", "2026-11-21T19:32:49Z"),
        ("2026-11-21T19:32:49-08:00", "2026-11-22T03:32:49Z"),
        ("2026-11-21", "2026-11-21T00:00:00Z"),
        ("", None),
    ],
)
def test_times_come_with_and_without_fractions(sent: str, read: str | None) -> None:
    """The gem sends empty ones too, which ask for nothing."""
    assert asked.actions({"since": sent, "before": "", "page": ""}).since == read


@pytest.mark.parametrize(
    ("page", "rows", "start"), [("1", 25, 0), ("3", 25, 50), ("401", 25, 10_000), ("11", 1000, 10_000)]
)
def test_a_page_is_counted_from_one(page: str, rows: int, start: int) -> None:
    """Up to ten thousand rows are counted off; further on a cursor leads."""
    assert asked.actions({"page": page, "rows": str(rows)}).start == start
    with pytest.raises(Senseless, match="page"):
        asked.actions({"page": str(int(page) + 10_000 // rows + 1), "rows": str(rows)})


def test_counts_have_a_bounded_number_of_stretches() -> None:
    """A minute of three months would be a hundred thousand."""
    until = str(int(NOW.timestamp()))
    assert asked.counts({"until": until}, NOW)[1] == "hour"
    with pytest.raises(Senseless, match="3000 of minute"):
        asked.counts({"from": str(int(until) - 86_400 * 30), "until": until, "granularity": "minute"}, NOW)
