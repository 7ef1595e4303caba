"""How long the committer waits for a database that is away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.worker.committer import backoff


@given(st.integers(0, 100_000))
def test_backoff_is_bounded_and_never_zero(attempt: int) -> None:
    """However often it failed, the next try comes, and not at once."""
    assert 0.05 <= backoff(attempt) <= 10
