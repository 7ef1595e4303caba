"""What a replay is doing, what a wish makes of it, and how often its process speaks."""

from __future__ import annotations

from typing import Any, cast

import pytest

from consumers.dead_letters.replays.control import Control, Tally
from consumers.dead_letters.replays.wishes import ENDED, PAUSE, PAUSED, RUN, RUNNING, STOP, Effect, effect, state
from consumers.dead_letters.repository import Repository
from schemas.labels import REPLAY_STATES, REPLAY_WISHES, ReplayState, ReplayWish


@pytest.mark.parametrize("wanted", REPLAY_WISHES)
@pytest.mark.parametrize("said", [each for each in REPLAY_STATES if each in (RUNNING, PAUSED)])
def test_without_a_process_it_is_interrupted_whatever_it_said(said: ReplayState, wanted: ReplayWish) -> None:
    """And with one it is what is wanted of it, or on the way there."""
    assert state(said, wanted, alive=False) == "interrupted"
    expected = {RUN: "running", PAUSE: "paused" if said == PAUSED else "pausing", STOP: "stopping"}
    assert state(said, wanted, alive=True) == expected[wanted]


@pytest.mark.parametrize("said", ENDED)
def test_what_has_ended_stays_so(said: ReplayState) -> None:
    """Whatever is wanted of it."""
    assert {state(said, wanted, alive=alive) for wanted in REPLAY_WISHES for alive in (True, False)} == {said}


def test_a_wish_that_comes_to_something_leads_to_what_was_wished() -> None:
    """Asked twice it is `already`; nothing done can be undone, and nothing that has no process can be paused."""
    asked = [(wish, now) for wish in REPLAY_WISHES for now in REPLAY_STATES if effect(wish, now) is Effect.ASK]
    said: ReplayState
    for wish, now in asked:
        said = PAUSED if now == PAUSED else RUNNING
        assert effect(wish, state(said, wish, alive=True)) is Effect.ALREADY
    assert {effect(wish, "done") for wish in REPLAY_WISHES} == {Effect.REFUSE}
    assert effect(PAUSE, "interrupted") is Effect.REFUSE
    assert effect(RUN, "interrupted") is effect(RUN, "stopped") is Effect.CARRY
    assert effect(STOP, "interrupted") is Effect.END


class Line:
    """The replay's row: what was written, and what somebody wants."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.wanted: ReplayWish = RUN

    def rows(self, _name: str, **facts: Any) -> list[dict[str, Any]]:
        """As the database's."""
        self.written.append(facts["state"])
        return [{"wanted": self.wanted}]


def test_a_process_speaks_once_a_second_and_at_once_when_it_comes_to_rest() -> None:
    """Ten thousand letters in a second are one line written; a pause is told as such when nothing is in hand."""
    line, now = Line(), 0.0
    control = Control(cast(Repository, line), 1, Tally(), clock=lambda: now)
    assert {control.wanted() for _ in range(1000)} == {RUN}
    assert line.written == [RUNNING]
    line.wanted, now = PAUSE, 1.0
    assert control.wanted() == PAUSE
    assert control.wanted(at_rest=True) == PAUSE
    assert line.written == [RUNNING, RUNNING, PAUSED]
    line.wanted, now = RUN, 2.0
    assert (control.wanted(at_rest=True), control.wanted()) == (RUN, RUN)
    assert line.written[3:] == [PAUSED, RUNNING]
