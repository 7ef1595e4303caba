"""Replays: those under way and those that are over, how far each is; an operator pauses, resumes or stops one here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.requests import Request

from consumers.dead_letters.replays import register
from consumers.dead_letters.replays.register import Replay
from consumers.dead_letters.replays.wishes import ENDED, INTERRUPTED, PAUSE, RUN, STOP, STOPPED, Effect, effect
from consumers.dead_letters.repository import repository_at
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import LONGEST_REASON, asked
from ingest.console.views.machine import PURPOSE, Machine
from schemas.labels import ReplayWish

AT_ONCE: Final = 50

_VERBS: Final[Mapping[ReplayWish, str]] = {PAUSE: "Pause", RUN: "Resume", STOP: "Stop"}
_TEXTS: Final[Mapping[ReplayWish, str]] = {
    PAUSE: "The {called} sends no more until somebody resumes it. What it has sent is stored or refused meanwhile.",
    RUN: "The {called} goes on where it stopped, on this machine where no process carries it out.",
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
    facts = {"asked": wanted, "rows": found, "next": following, "may": request.state.operator.operates}
    return Shown("replays.html", facts)


def show_one(machine: Machine, request: Request) -> Shown:
    """One, what became of its letters, and what can be wanted of it."""
    number = request.path_params["replay"]
    with repository_at(machine.settings.database_url, who="", purpose=PURPOSE) as repository:
        found = register.one(repository, number)
        outcomes = register.outcomes(repository, number)
    starting = found.state == INTERRUPTED and machine.carriers.starting(number)
    wishes = _wishes(found) if request.state.operator.operates and not starting else {}
    facts = {"replay": found, "outcomes": outcomes, "wishes": wishes, "starting": starting, "gone": INTERRUPTED}
    over = found.state in ENDED or (found.state == INTERRUPTED and not starting)
    return Shown("replay.html", facts | {"last_words": machine.carriers.last_words(number), "over": over})


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
    """Say it, or have what nobody carries out carried out; the path to go to. Raises TurnedAway or NotWished."""
    require_operate(operator)
    wanted = ReplayOrder.of(sent)
    number = int(wanted.number)
    who, why = operator.name, wanted.why or None
    with repository_at(machine.settings.database_url, who=who, why=why, purpose=PURPOSE) as repository:
        _, comes_to = register.wish(repository, number, wanted.wish)
    if comes_to is Effect.CARRY:
        carry_out(machine, number, who, why)
    return f"/replays/{number}"


def carry_out(machine: Machine, number: int, who: str, why: str | None) -> None:
    """Have a process of its own carry it out."""
    with repository_at(machine.settings.database_url, who=who, purpose=PURPOSE) as repository:

        def taken() -> bool:
            return register.one(repository, number).state not in (INTERRUPTED, STOPPED)

        machine.carriers.carry(machine.settings, machine.state, number, who, why, taken)


def _wishes(replay: Replay) -> dict[ReplayWish, str]:
    """Those that can be wished of it here, with the word for each."""
    heeded = (Effect.ASK, Effect.END, Effect.CARRY)
    return {wish: verb for wish, verb in _VERBS.items() if effect(wish, replay.state) in heeded}
