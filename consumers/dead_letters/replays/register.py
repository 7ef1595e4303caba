"""Keeps the replays: begins one, takes up one that was interrupted, tells of all, writes what is wanted of one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from consumers.dead_letters.errors import NeedsSession, NoSuchReplay, NotWished
from consumers.dead_letters.replays.wishes import (
    DONE,
    INTERRUPTED,
    PAUSE,
    RUN,
    STOP,
    STOPPED,
    STOPPING,
    Effect,
    effect,
    state,
)
from consumers.dead_letters.repository import Repository
from consumers.dead_letters.selector import Selector
from schemas.labels import REPLAY_ACCEPTS, ReplayAccepts, ReplayState, ReplayWish

LOCK_SPACE: Final = 0x1A6E58
"""Our class of PostgreSQL's advisory locks; the object is the replay's number. Whoever carries it out holds it, in a
session: no clock decides whether it lives."""

FIXED, HOPEFUL, ALL = REPLAY_ACCEPTS
ACCEPTED: Final = {FIXED: (True,), HOPEFUL: (True, None), ALL: (True, None, False)}
"""Which letters are sent, by what a forecast says of whether they would pass."""

LISTED_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What a replay is to be. `rate` is letters a second at most, None as fast as it goes; after `until_failures`
    letters that failed again it stops. The same `request` goes on with an interrupted one."""

    request: str
    selector: Selector
    name: str | None = None
    accepts: ReplayAccepts = HOPEFUL
    rate: float | None = None
    until_failures: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One replay: the letters of `selector` as they were at `started`, up to the id `newest`; and how far it is.

    `looked_at` of `total` (None with a limit) letters; of them `sent`, `passed_over` as they would be refused again,
    `not_taken` by the broker. Of those sent (and not pruned since) `resolved`, `failed` again, or `waiting`.
    """

    number: int
    name: str | None
    state: ReplayState
    accepts: ReplayAccepts
    rate: float | None
    until_failures: int | None
    selector: Selector
    newest: int
    who: str
    why: str | None
    host: str | None
    started: datetime
    heard: datetime | None
    ended: datetime | None
    wanted: ReplayWish
    wanted_by: str | None
    wanted_why: str | None
    total: int | None
    looked_at: int
    sent: int
    passed_over: int
    not_taken: int
    resolved: int
    failed: int
    waiting: int

    @property
    def gone_on(self) -> bool:
        """Somebody has carried it out before."""
        return self.heard is not None

    @property
    def called(self) -> str:
        """`replay 7 "knife 99"`."""
        return f"replay {self.number}" + (f' "{self.name}"' if self.name else "")


def start(repository: Repository, asked: ReplayRequest, *, fresh: bool = False) -> Replay:
    """Carry out in this session the interrupted replay of the same request, or a new one; `fresh` gives the former up.

    One that is under way elsewhere is left alone: neither sends what the other has sent.
    Raises NeedsSession behind a pooler.
    """
    for found in interrupted(repository, asked.request):
        if fresh:
            give_up(repository, found.number)
            continue
        # Somebody else may have taken it up this instant.
        with suppress(NotWished):
            return take(repository, found.number, asked)
    return begin(repository, asked)


def begin(repository: Repository, asked: ReplayRequest) -> Replay:
    """A new replay, held by this session: whoever is to carry it out otherwise can `take` it once that has ended.

    Raises NeedsSession behind a pooler.
    """
    _require_session(repository)
    facts = {
        "request": asked.request, "selector": asked.selector.to_json(), "name": asked.name, "accepts": asked.accepts,
        "rate": asked.rate, "until_failures": asked.until_failures,
    }  # fmt: skip
    with repository.connection.transaction():
        [row] = repository.rows("replay_start", **facts)
        _hold(repository, row["id"])
    return one(repository, row["id"])


def interrupted(repository: Repository, request: str) -> list[Replay]:
    """The interrupted replays of the same request, the newest first."""
    found = _found(repository, "request = %(request)s AND finished_at IS NULL", request=request, limit=LISTED_AT_ONCE)
    return [each for each in found if each.state == INTERRUPTED]


def take(repository: Repository, number: int, pace: ReplayRequest | None = None) -> Replay:
    """Carry it out in this session, from where it stopped; at the pace of `pace`, if given, else at its own.

    Raises NotWished when another session does or it is done, NoSuchReplay, and NeedsSession behind a pooler.
    """
    _require_session(repository)
    if not _hold(repository, number):
        raise NotWished(f"replay {number} is carried out by another process; `dead replays show {number}` tells where")
    found = one(repository, number)
    if found.state == DONE:
        _let_go(repository, number)
        raise NotWished(f"{found.called} is {found.state}: nothing is left to be sent")
    rate, until_failures = (pace or found).rate, (pace or found).until_failures
    repository.execute("replay_take", run=number, rate=rate, until_failures=until_failures)
    return one(repository, number)


def hand_over(repository: Repository, number: int) -> None:
    """This session holds it no longer: whoever is to carry it out can `take` it."""
    _let_go(repository, number)


def give_up(repository: Repository, number: int) -> bool:
    """Stop a replay that nobody carries out; False when somebody does."""
    if not _hold(repository, number):
        return False
    repository.execute("replay_give_up", run=number)
    _let_go(repository, number)
    return True


def listed(repository: Repository, *, before: int | None = None, limit: int = LISTED_AT_ONCE) -> list[Replay]:
    """Replays, the newest first; those with a number below `before`."""
    where = "true" if before is None else "replay.id < %(before)s"
    return _found(repository, where, before=before, limit=limit)


def under_way(repository: Repository) -> list[Replay]:
    """Replays that are not over, interrupted ones too, the newest first."""
    return _found(repository, "finished_at IS NULL", limit=LISTED_AT_ONCE)


def one(repository: Repository, number: int) -> Replay:
    """One replay. Raises NoSuchReplay."""
    for found in _found(repository, "replay.id = %(number)s", number=number, limit=1):
        return found
    raise NoSuchReplay(f"there is no replay {number}; `chef-ingest dead replays list` shows those there are")


def outcomes(repository: Repository, number: int) -> list[dict[str, Any]]:
    """What became of the letters it sent, the most frequent first: state, became, letters."""
    return repository.rows("replay_outcomes", run=number)


def wish(repository: Repository, number: int, wanted: ReplayWish) -> tuple[Replay, Effect]:
    """Write what is wanted of a replay, by the repository's `who` and `why`; the replay before, and what it comes to.

    With `Effect.CARRY` nothing is written: `take` it and send. Raises NoSuchReplay, or NotWished where it can't be.
    """
    found = one(repository, number)
    comes_to = effect(wanted, found.state)
    if comes_to is Effect.REFUSE:
        raise NotWished(f"{found.called} is {found.state}{_HELP.get((wanted, found.state), '')}")
    if comes_to is Effect.END:
        comes_to = Effect.END if give_up(repository, number) else Effect.ASK
    if comes_to in (Effect.ASK, Effect.END):
        repository.execute("replay_wish", run=number, wanted=wanted)
    return found, comes_to


_HELP: Final = {
    (PAUSE, INTERRUPTED): ": nobody carries it out, so nothing is sent",
    (PAUSE, STOPPED): ": nothing is sent",
    (RUN, STOPPING): ": wait until it has stopped, then resume it",
    (STOP, DONE): ": nothing is left to be sent",
}


def _found(repository: Repository, where: str, **values: Any) -> list[Replay]:
    return [_replay(row) for row in repository.rows("replays", where, space=LOCK_SPACE, **values)]


def _replay(row: dict[str, Any]) -> Replay:
    said, alive = row.pop("said"), row.pop("alive")
    selector = Selector.from_json(row.pop("selector"))
    return Replay(**row, selector=selector, state=state(said, row["wanted"], alive=alive))


def _hold(repository: Repository, number: int) -> bool:
    held: bool = repository.rows("replay_hold", space=LOCK_SPACE, run=number)[0]["held"]
    return held


def _let_go(repository: Repository, number: int) -> None:
    repository.rows("replay_let_go", space=LOCK_SPACE, run=number)


def _require_session(repository: Repository) -> None:
    if repository.connection.pooled:
        raise NeedsSession(
            "DATABASE_URL leads to a pooler, and a replay holds a lock in a session of its own: name PostgreSQL itself"
        )
