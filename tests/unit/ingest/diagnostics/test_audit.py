"""What `audit` says of a ledger: the gap is what is nowhere."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from consumers.ledger.balance import balance
from ingest.diagnostics.audit import judge as judge_ledger

few = st.integers(0, 99)


HOUR = datetime(2026, 11, 22, 5, tzinfo=UTC)


@given(few, few, few, few, few, few)
def test_the_gap_is_what_is_nowhere(stored: int, during: int, twice: int, letters: int, flying: int, lost: int) -> None:
    """Acknowledged minus everything found is the gap, exactly; lost messages are missing, none lost is closed."""
    taken = stored + during + twice + letters + flying + lost
    ledger = balance(
        {HOUR: (taken, 0, 0, 0)}, [{HOUR: (stored,)}, {HOUR: (during, twice, 0, 0, 0)}, {HOUR: (letters,)}], flying
    )
    assert ledger.gap == lost
    assert judge_ledger(ledger)[0] == ("missing" if lost else "closed")
    assert ledger.rows()[-1]["carried"] == flying + lost


@given(few, few)
def test_what_waits_past_the_shims_is_no_surplus(stored: int, waiting: int) -> None:
    """A Chef server's backlog is in flight before it is acknowledged: the ledger closes, and says how many they are."""
    ledger = balance({HOUR: (0, stored, 0, 0)}, [{HOUR: (stored,)}, {}, {}], waiting)
    verdict, text = judge_ledger(ledger)
    assert verdict == "closed"
    assert f"{waiting} are in flight, {waiting} of them past the shims" in text or not waiting
    beyond = balance({HOUR: (0, stored, 0, 0)}, [{HOUR: (stored + waiting + 1,)}, {}, {}], waiting)
    assert judge_ledger(beyond)[0] == "surplus" or waiting


def test_a_surplus_is_explained_as_far_as_it_can_be() -> None:
    """Repeated deliveries and late 503s explain that much of a surplus, and no more; nothing at all is empty."""
    hours = {HOUR: (5, 0, 1, 1)}
    assert "explained" in judge_ledger(balance(hours, [{HOUR: (7,)}, {}, {}], 0))[1]
    assert "the rest" in judge_ledger(balance(hours, [{HOUR: (8,)}, {}, {}], 0))[1]
    assert judge_ledger(balance({}, [{}, {}, {}], 0))[0] == "empty"
