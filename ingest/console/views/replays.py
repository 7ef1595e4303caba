"""Replays: those under way and those that are over, how far each is; an operator pauses, resumes or stops one here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.requests import Request

from consumers.dead_letters.errors import NotWished
from consumers.dead_letters.replays import register
from consumers.dead_letters.replays.register import Replay
from consumers.dead_letters.replays.wishes import INTERRUPTED, PAUSE, RUN, STOP, Effect, effect
from consumers.dead_letters.repository import repository_at
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import asked
from ingest.console.views.machine import LONGEST_REASON, PURPOSE, Machine
from schemas.labels import ReplayWish

AT_ONCE: Final = 50

_VERBS: Final[Mapping[ReplayWish, str]] = {PAUSE: "Pause", RUN: "Resume", STOP: "Stop"}
_TEXTS: Final[Mapping[ReplayWish, str]] = {
    PAUSE: "The {called} sends no more until somebody resumes it. What it has sent is stored or refused meanwhile.",
    RUN: "The {called} goes on where it is.",
    STOP: "The {called} ends. Letters that it has not sent stay open; resuming it later goes on from there.",
}


class ReplayOrder(NamedTuple):
    """What is wanted of a replay."""

    wish: ReplayWish
    number: str
    why: str

    @classmethod
    def of(cls, sent: Mapping[str, str]) -> ReplayOrder:
        """Of a form. Raises TurnedAway (400) for what makes no sense."""
        found = cls(*(sent.get(name, "").strip() for name in cls._fields))  # type: ignore[arg-type]
        if found.wish not in _VERBS or not (found.number.isascii() and found.number.isdecimal()):
            raise TurnedAway(400, "there is no such change")
        if int(found.number[:12]) > 2**31 - 1 or len(found.why) > LONGEST_REASON:
            raise TurnedAway(
                400, f"that is no number of a replay, or the reason has more than {LONGEST_REASON} characters"
            )
        return found


def show(machine: Machine, request: Request) -> Shown:
    """The newest, and those before a number."""
    wanted = asked(request)
    with repository_at(machine.settings.database_url, who="", purpose=PURPOSE) as repository:
        found = register.listed(repository, before=wanted.number("after"), limit=AT_ONCE)
    following = wanted.next(found[-1].number) if len(found) == AT_ONCE else ""
    return Shown("replays.html", {"asked": wanted, "rows": found, "next": following})


def show_one(machine: Machine, request: Request) -> Shown:
    """One, what became of its letters, and what can be wanted of it."""
    number = request.path_params["replay"]
    with repository_at(machine.settings.database_url, who="", purpose=PURPOSE) as repository:
        found = register.one(repository, number)
        outcomes = register.outcomes(repository, number)
    wishes = _wishes(found) if request.state.operator.operates else {}
    return Shown("replay.html", {"replay": found, "outcomes": outcomes, "wishes": wishes, "gone": INTERRUPTED})


def confirm(machine: Machine, request: Request) -> Shown:
    """What a wish comes to, and the form that says it."""
    require_operate(request.state.operator)
    wanted = ReplayOrder.of(asked(request).values)
    with repository_at(machine.settings.database_url, who="", purpose=PURPOSE) as repository:
        found = register.one(repository, int(wanted.number))
    facts = {
        "change": wanted,
        "verb": _VERBS[wanted.wish],
        "text": _TEXTS[wanted.wish].format(called=found.called),
    }
    return Shown("confirm.html", facts | {"to": "/replays", "back": f"/replays/{found.number}"})


def change(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Say it; the path to go to. Raises TurnedAway, StoreUnavailable or Misconfigured."""
    require_operate(operator)
    wanted = ReplayOrder.of(sent)
    number = int(wanted.number)
    with repository_at(
        machine.settings.database_url, who=operator.name, why=wanted.why or None, purpose=PURPOSE
    ) as repository:
        try:
            found, comes_to = register.wish(repository, number, wanted.wish)
        except NotWished as refused:
            raise TurnedAway(409, f"{refused}: nothing was done") from None
    if comes_to is Effect.CARRY:
        raise TurnedAway(
            409,
            f"nobody carries out {found.called}: `chef-ingest dead replays resume {number}` does, and goes on there",
        )
    return f"/replays/{number}"


def _wishes(replay: Replay) -> dict[ReplayWish, str]:
    """Those that can be wished of it here, with the word for each."""
    return {wish: verb for wish, verb in _VERBS.items() if effect(wish, replay.state) in (Effect.ASK, Effect.END)}
