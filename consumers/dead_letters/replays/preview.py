"""What a replay would send, by cause, and how many of that would pass as things are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from consumers.dead_letters.dry_run import DryRun, Forecast
from consumers.dead_letters.queries import in_one_line
from consumers.dead_letters.replays.register import ACCEPTED, ALL, Replay, ReplayRequest
from consumers.dead_letters.replays.sending import candidates
from consumers.dead_letters.repository import Letter, Repository
from schemas.labels import ReplayAccepts

_AT_ONCE: Final = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReplayPreview:
    """Of the letters that a replay would look at: those that would `pass_`, be `refused` again, or can't be told of.

    `causes` are rows, the most frequent first: fingerprint, kind, stage, reason, letters, would_pass, why.
    """

    causes: Sequence[dict[str, Any]]
    pass_: int
    refused: int
    untold: int

    def sent(self, accepts: ReplayAccepts) -> int:
        """How many of them would be sent."""
        counts = {True: self.pass_, False: self.refused, None: self.untold}
        return sum(counts[passes] for passes in ACCEPTED[accepts])

    @property
    def letters(self) -> int:
        """How many there are."""
        return self.pass_ + self.refused + self.untold


def preview(
    repository: Repository, asked: ReplayRequest, left: Replay | None, dry_run: DryRun, most: int | None = None
) -> ReplayPreview:
    """What would be sent, or what `left`, an interrupted replay, has left; of many the first `most`, by id."""
    causes: dict[str, dict[str, Any]] = {}
    counts: Counter[bool | None] = Counter()
    chosen = left.selector if left else asked.selector
    for letters in _chunks(islice(candidates(repository, chosen, left), most), _AT_ONCE):
        for letter, forecast in zip(letters, dry_run(letters), strict=True):
            counts[forecast.passes] += 1
            cause = causes.setdefault(letter.fingerprint, _cause(letter))
            cause["letters"] += 1
            cause["would_pass"] += forecast.passes is True
    rows = sorted(causes.values(), key=lambda row: -row["letters"])
    return ReplayPreview(rows, counts[True], counts[False], counts[None])


def choosing(dry_run: DryRun, accepts: ReplayAccepts) -> Callable[[Sequence[Letter]], Sequence[bool]]:
    """Says of letters which are sent."""
    if accepts == ALL:
        return lambda letters: [True] * len(letters)
    return lambda letters: [_accepted(forecast, accepts) for forecast in dry_run(letters)]


def _accepted(forecast: Forecast, accepts: ReplayAccepts) -> bool:
    return forecast.passes in ACCEPTED[accepts]


def _cause(letter: Letter) -> dict[str, Any]:
    return {
        "fingerprint": letter.fingerprint, "kind": letter.kind, "stage": letter.stage, "reason": letter.reason,
        "letters": 0, "would_pass": 0, "why": in_one_line(letter.details),
    }  # fmt: skip


def _chunks(each: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(each)
    while chunk := list(islice(iterator, size)):
        yield chunk
