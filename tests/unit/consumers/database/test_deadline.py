"""A server that says nothing is given up, and one that says something is not."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.database.deadline import limited

SECONDS = 10.0


def steps(count: int) -> Generator[str, Any, str]:
    """As psycopg's: so many answers are wanted, and a false one is none."""
    for _ in range(count):
        while not (yield "read"):
            pass
    return "done"


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 2 * SECONDS)), max_size=20))
def test_only_silence_counts_not_the_time_it_takes(turns: list[tuple[bool, float]]) -> None:
    """Given up exactly when nothing has come for longer than the limit; whatever comes begins it anew."""
    now, given_up = 0.0, list[bool]()
    waiting = limited(steps(100), SECONDS, lambda: given_up.append(True), lambda: now)
    next(waiting)
    heard = 0.0
    for ready, passed in turns:
        now += passed
        if not ready and now - heard > SECONDS:
            with pytest.raises(psycopg.OperationalError, match="said nothing for 10 s"):
                waiting.send(ready)
            assert given_up == [True]
            return
        waiting.send(ready)
        heard = now if ready else heard
    assert not given_up


def test_what_the_steps_give_is_given() -> None:
    """The wait's result is psycopg's own."""
    waiting = limited(steps(1), SECONDS, lambda: None)
    next(waiting)
    with pytest.raises(StopIteration) as end:
        waiting.send(True)
    assert end.value.value == "done"
