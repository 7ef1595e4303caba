"""Sends letters again: claim under lock, publish confirmed, mark. Killed anywhere, the same replay goes on."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from consumers.broker.publisher import ConfirmingPublisher, NotTaken
from consumers.dead_letters.posting import Posting
from consumers.dead_letters.replays.control import Control, Tally
from consumers.dead_letters.replays.register import LOCK_SPACE, Replay
from consumers.dead_letters.replays.wishes import DONE, RUN, STOP, STOPPED
from consumers.dead_letters.repository import Letter, Repository
from consumers.dead_letters.selector import OPEN, PARKED, REPLAYING, Selector
from consumers.runtime.failpoints import Failpoint
from schemas.labels import ReplayState
from schemas.message import HEADER_LETTER, HEADER_REPLAY

CHUNK: Final = 100
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
LONGEST_WAIT_SECONDS: Final = 0.2
"""A stop request is heeded at least this often."""

Accepts = Callable[[Sequence[Letter]], Sequence[bool]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter whose replay the broker has; or, with a `problem`, one that it did not take; or one `passed_over`."""

    letter_id: int
    problem: str = ""
    passed_over: bool = False


def candidates(repository: Repository, selector: Selector, replay: Replay | None) -> Iterator[Letter]:
    """The letters that a replay (None: one that began now) would still send."""
    where, bounds = _candidates(repository, selector, replay)
    yield from repository.letters("replay_candidates", where, **bounds)


def remaining(repository: Repository, selector: Selector, replay: Replay | None) -> int:
    """How many those are."""
    where, bounds = _candidates(repository, selector, replay)
    return repository.count("replay_candidates", where, **bounds)


def _candidates(repository: Repository, selector: Selector, replay: Replay | None) -> tuple[str, dict[str, Any]]:
    where, values = _replayable(selector)
    limits = {"newest": replay.newest if replay else 2**62, "started": replay.started if replay else _NEVER}
    return where, {"after": 0, "limit": _left(repository, selector, replay), **limits, **values}


class ReplaySending:
    """Sends what a replay, taken by this session, has left, letter by letter. Iterate it; leave it, and the rest is
    as it was. It pauses and stops when somebody says so, and after so many failures as the replay allows.

    `accepts` says which of some letters to send. `total` is how many there are to look at, None with a limit. `ended`
    is None until the replay is done or stopped.
    """

    def __init__(
        self, repository: Repository, publisher: ConfirmingPublisher, replay: Replay, *, accepts: Accepts,
        stopping: Callable[[], bool], failpoint: Failpoint,
    ) -> None:  # fmt: skip
        self._repository = repository
        self._publisher = publisher
        self._replay = replay
        self._accepts = accepts
        self._rate = replay.rate or 0
        self._until_failures = replay.until_failures
        self._stopping = stopping
        self._failpoint = failpoint
        self._next = time.monotonic()
        self._where, self._values = _replayable(replay.selector)
        repository.rows("replay_session")
        self._tally = Tally(repository.rows("replay_sent", run=replay.number)[0]["sent"])
        self._control = Control(repository, replay.number, self._tally)
        self._failed_before = self._failures()[0]
        self.ended: ReplayState | None = None
        self.total = self._total()

    def __iter__(self) -> Iterator[Sent]:
        after, left = 0, _left(self._repository, self._replay.selector, self._replay)
        chunk = min(CHUNK, max(1, int(self._rate))) if self._rate else CHUNK
        while left != 0 and (size := self._allowed(chunk if left is None else min(chunk, left))):
            found = self._after(after, size)
            if not found:
                left = 0
                break
            unsent = yield from self._send_accepted(found)
            # Of letters that were claimed and not sent, another replay may have the next claim; or we, later.
            after = unsent[0].id - 1 if unsent else found[-1].id
            left = _left(self._repository, self._replay.selector, self._replay)
        if left == 0:
            self._end(DONE)
        elif self.ended is None:
            self._control.leave()

    def _after(self, after: int, size: int) -> list[Letter]:
        bounds = {"after": after, "newest": self._replay.newest, "started": self._replay.started}
        return list(self._repository.letters("replay_candidates", self._where, limit=size, **bounds, **self._values))

    def _send_accepted(self, found: Sequence[Letter]) -> Generator[Sent, None, Sequence[Letter]]:
        """Those of the letters that are accepted; the first of what is returned was not sent, and none after it."""
        accepted = [each for each, yes in zip(found, self._accepts(found), strict=True) if yes]
        unsent = yield from self._send(accepted)
        done = [each for each in found if not unsent or each.id < unsent[0].id]
        chosen = {each.id for each in accepted}
        over = [each for each in done if each.id not in chosen]
        self._tally.looked_at += len(done)
        self._tally.passed_over += len(over)
        yield from (Sent(each.id, passed_over=True) for each in over)
        return unsent

    def _send(self, letters: Sequence[Letter]) -> Generator[Sent, None, Sequence[Letter]]:
        numbers = self._claim(letters)
        waiting = [each for each in letters if each.id in numbers]
        try:
            while waiting and self._pause():
                letter = waiting[0]
                problem = self._publish(letter, numbers[letter.id])
                if not problem:
                    waiting.pop(0)
                    marked = {"id": letter.id, "attempt": numbers[letter.id]}
                    self._repository.execute("replay_mark", run=self._replay.number, **marked)
                    self._failpoint.reach("replay_marked", letter.payload)
                else:
                    self._tally.not_taken += 1
                    self._release([waiting.pop(0)])
                yield Sent(letter.id, problem)
        finally:
            self._release(waiting)
        return waiting

    def _claim(self, letters: Sequence[Letter]) -> dict[int, int]:
        """Letter -> number of its replay, of those that are ours now."""
        if not letters:
            return {}
        ids = [each.id for each in letters]
        claim: dict[str, Any] = {
            "run": self._replay.number,
            "space": LOCK_SPACE,
            "started": self._replay.started,
            "claimed": ids,
        }
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
            self._repository.execute("replay_release", run=self._replay.number, ids=[each.id for each in letters])

    def _allowed(self, most: int) -> int:
        """How many letters may go now, once any may; 0: none any more, it has ended or is to be left."""
        while not self._stopping():
            wanted = self._control.wanted(at_rest=True)
            if wanted == STOP:
                self._end(STOPPED)
                return 0
            if wanted == RUN:
                room = self._room()
                if room is None or room > 0:
                    return most if room is None else min(most, room)
                if self.ended:
                    return 0
            self._publisher.wait(LONGEST_WAIT_SECONDS)
        return 0

    def _room(self) -> int | None:
        """How many letters may be under way so that no more than `until_failures` fail; None: however many."""
        if self._until_failures is None:
            return None
        failed, waiting = self._failures()
        allowed = self._until_failures - (failed - self._failed_before) - self._tally.not_taken
        if allowed <= 0:
            self._end(STOPPED)
        return max(0, allowed - waiting)

    def _failures(self) -> tuple[int, int]:
        [row] = self._repository.rows("replay_failures", run=self._replay.number)
        return row["failed"], row["waiting"]

    def _end(self, state: ReplayState) -> None:
        self.ended = state
        self._control.end(state)

    def _total(self) -> int | None:
        """With a limit so many are sent, however many have to be looked at."""
        if self._replay.selector.limit:
            return None
        total = self._tally.looked_at + remaining(self._repository, self._replay.selector, self._replay)
        self._repository.execute("replay_total", run=self._replay.number, total=total)
        return total

    def _pause(self) -> bool:
        """Wait until the next letter may go; False when somebody wants something else."""
        while not self._stopping() and self._control.wanted() == RUN:
            left = self._next - time.monotonic()
            if left <= 0:
                self._next = max(self._next, time.monotonic() - 1.0) + (1 / self._rate if self._rate else 0)
                return True
            self._publisher.wait(min(left, LONGEST_WAIT_SECONDS))
        return False


def _left(repository: Repository, selector: Selector, replay: Replay | None) -> int | None:
    if selector.limit is None or replay is None:
        return selector.limit
    sent: int = repository.rows("replay_sent", run=replay.number)[0]["sent"]
    return max(0, selector.limit - sent)


def _replayable(selector: Selector) -> tuple[str, dict[str, Any]]:
    """Parked letters are sent only when named: by id, or by asking for that state."""
    named = (OPEN, PARKED) if selector.ids else (OPEN,)
    states = selector.states or named
    where, values = dataclasses.replace(selector, states=()).where()
    chosen = [each for each in states if each in (OPEN, PARKED)]
    return where, values | {"states": chosen, "resend": REPLAYING in states}
