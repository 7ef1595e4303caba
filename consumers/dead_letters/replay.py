"""Sends letters again: claim under lock, publish confirmed, mark. Killed anywhere, the same run can be gone on with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consumers.broker.publisher import ConfirmingPublisher, NotTaken
from consumers.dead_letters.errors import NeedsSession
from consumers.dead_letters.posting import Posting
from consumers.dead_letters.repository import Letter, Repository
from consumers.dead_letters.selector import OPEN, PARKED, REPLAYING, Selector
from consumers.runtime.failpoints import Failpoint
from schemas.message import HEADER_LETTER, HEADER_REPLAY

LOCK_SPACE = 0x1A6E58
"""Our class of PostgreSQL's advisory locks; the object is the run's id."""

CHUNK = 100
_NEVER = datetime.max.replace(tzinfo=UTC)
LONGEST_WAIT_SECONDS = 0.2
"""A stop request is heeded at least this often."""

Accepts = Callable[[Sequence[Letter]], Sequence[bool]]


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """One `dead replay`: the letters of `selector` as they were at `started`, up to the id `newest`."""

    id: int
    started: datetime
    newest: int
    selector: Selector
    gone_on: bool
    """It had been interrupted."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter whose replay the broker has; or, with a `problem`, one that it did not take; or one `passed_over`."""

    letter_id: int
    problem: str = ""
    passed_over: bool = False


def start_run(repository: Repository, request: str, selector: Selector, *, fresh: bool = False) -> ReplayRun:
    """A new run, or the interrupted one of the same `request`; `fresh` gives the interrupted one up.

    A run that is under way elsewhere is left alone: neither sends what the other has sent.
    Raises NeedsSession behind a pooler.
    """
    if repository.connection.pooled:
        raise NeedsSession(
            "DATABASE_URL leads to a pooler, and a replay holds a lock in a session of its own: name PostgreSQL itself"
        )
    for row in repository.rows("replay_unfinished", request=request):
        if not repository.rows("replay_hold", space=LOCK_SPACE, run=row["id"])[0]["held"]:
            continue
        if not fresh:
            return _run(row, gone_on=True)
        repository.execute("replay_finish", run=row["id"])
        repository.rows("replay_let_go", space=LOCK_SPACE, run=row["id"])
    with repository.connection.transaction():
        [row] = repository.rows("replay_start", request=request, selector=selector.to_json())
        repository.rows("replay_hold", space=LOCK_SPACE, run=row["id"])
    return _run(row, gone_on=False)


def unfinished(repository: Repository, request: str) -> ReplayRun | None:
    """The interrupted run that the same request would go on with."""
    for row in repository.rows("replay_unfinished", request=request):
        if repository.rows("replay_hold", space=LOCK_SPACE, run=row["id"])[0]["held"]:
            repository.rows("replay_let_go", space=LOCK_SPACE, run=row["id"])
            return _run(row, gone_on=True)
    return None


def candidates(repository: Repository, selector: Selector, run: ReplayRun | None) -> Iterator[Letter]:
    """The letters that a run (None: one that began now) would still send."""
    where, bounds = _candidates(repository, selector, run)
    yield from repository.letters("replay_candidates", where, **bounds)


def count_candidates(repository: Repository, run: ReplayRun) -> int:
    """How many letters a run has left."""
    where, bounds = _candidates(repository, run.selector, run)
    return repository.count("replay_candidates", where, **bounds)


def _candidates(repository: Repository, selector: Selector, run: ReplayRun | None) -> tuple[str, dict[str, Any]]:
    where, values = _replayable(selector)
    limits = {"newest": run.newest if run else 2**62, "started": run.started if run else _NEVER}
    return where, {"after": 0, "limit": _left(repository, selector, run), **limits, **values}


class Replay:
    """Sends what a run has left, one letter after another. Iterate it; leave it, and the rest is as it was.

    `accepts` says which of some letters to send. `rate` is letters a second at most, 0 as fast as it goes.
    """

    def __init__(
        self, repository: Repository, publisher: ConfirmingPublisher, run: ReplayRun, *, accepts: Accepts, rate: float,
        stopping: Callable[[], bool], failpoint: Failpoint,
    ) -> None:  # fmt: skip
        self._repository = repository
        self._publisher = publisher
        self._run = run
        self._accepts = accepts
        self._rate = rate
        self._stopping = stopping
        self._failpoint = failpoint
        self._next = time.monotonic()
        self._where, self._values = _replayable(run.selector)
        repository.rows("replay_quick")

    def __iter__(self) -> Iterator[Sent]:
        after, left = 0, _left(self._repository, self._run.selector, self._run)
        chunk = min(CHUNK, max(1, int(self._rate))) if self._rate else CHUNK
        while left != 0 and not self._stopping():
            bounds = {"after": after, "newest": self._run.newest, "started": self._run.started}
            size = chunk if left is None else min(chunk, left)
            found = list(
                self._repository.letters("replay_candidates", self._where, limit=size, **bounds, **self._values)
            )
            if not found:
                self._repository.execute("replay_finish", run=self._run.id)
                return
            after = found[-1].id
            wanted = [each for each, yes in zip(found, self._accepts(found), strict=True) if yes]
            chosen = {each.id for each in wanted}
            yield from (Sent(each.id, passed_over=True) for each in found if each.id not in chosen)
            for sent in self._send(wanted):
                left = left if left is None or sent.problem else left - 1
                yield sent
        if left == 0:
            self._repository.execute("replay_finish", run=self._run.id)

    def _send(self, letters: Sequence[Letter]) -> Iterator[Sent]:
        numbers = self._claim(letters)
        waiting = [each for each in letters if each.id in numbers]
        try:
            while waiting and self._pause():
                letter = waiting[0]
                problem = self._publish(letter, numbers[letter.id])
                if not problem:
                    waiting.pop(0)
                    self._repository.execute("replay_mark", run=self._run.id, id=letter.id, replay=numbers[letter.id])
                    self._failpoint.reach("replay_marked", letter.payload)
                else:
                    self._release([waiting.pop(0)])
                yield Sent(letter.id, problem)
        finally:
            self._release(waiting)

    def _claim(self, letters: Sequence[Letter]) -> dict[int, int]:
        """Letter -> number of its replay, of those that are ours now."""
        if not letters:
            return {}
        ids = [each.id for each in letters]
        claim: dict[str, Any] = {"run": self._run.id, "space": LOCK_SPACE, "started": self._run.started, "claimed": ids}
        return {row["id"]: row["replays"] for row in self._repository.rows("replay_claim", **claim, **self._values)}

    def _publish(self, letter: Letter, number: int) -> str:
        self._failpoint.reach("replay_claimed", letter.payload)
        posting = Posting(letter.message(), letter.exchange, letter.routing_key, letter.properties)
        try:
            posting.publish(self._publisher, {HEADER_LETTER: letter.id, HEADER_REPLAY: number})
        except NotTaken as error:
            return str(error)
        self._failpoint.reach("replay_published", letter.payload)
        return ""

    def _release(self, letters: Sequence[Letter]) -> None:
        if letters:
            self._repository.execute("replay_release", run=self._run.id, ids=[each.id for each in letters])

    def _pause(self) -> bool:
        """Wait until the next letter may go; False when we are to stop instead."""
        while not self._stopping():
            left = self._next - time.monotonic()
            if left <= 0:
                self._next = max(self._next, time.monotonic() - 1.0) + (1 / self._rate if self._rate else 0)
                return True
            self._publisher.wait(min(left, LONGEST_WAIT_SECONDS))
        return False


def _run(row: dict[str, Any], *, gone_on: bool) -> ReplayRun:
    return ReplayRun(row["id"], row["started_at"], row["newest"], Selector.from_json(row["selector"]), gone_on)


def _left(repository: Repository, selector: Selector, run: ReplayRun | None) -> int | None:
    if selector.limit is None or run is None:
        return selector.limit
    sent: int = repository.rows("replay_sent", run=run.id, started=run.started)[0]["sent"]
    return max(0, selector.limit - sent)


def _replayable(selector: Selector) -> tuple[str, dict[str, Any]]:
    """Parked letters are sent only when named: by id, or by asking for that state."""
    named = (OPEN, PARKED) if selector.ids else (OPEN,)
    states = selector.states or named
    where, values = dataclasses.replace(selector, states=()).where()
    chosen = [each for each in states if each in (OPEN, PARKED)]
    return where, values | {"states": chosen, "resend": REPLAYING in states}
