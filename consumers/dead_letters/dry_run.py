"""Says of letters what would become of them if they were replayed now; nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from consumers.dead_letters.repository import Letter
from consumers.delivery import Delivery, Judged
from consumers.errors import Misconfigured
from consumers.runtime.failpoints import Failpoint
from consumers.store.store import PostgresStore
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.judge import Candidate, Judge
from schemas.verdict import DUPLICATE, SKIPPED, STORED, Verdict, becomes_letter


@dataclass(frozen=True, slots=True)
class Forecast:
    """`passes`: a replay would resolve the letter; None: that is not tried here. `text` says it in words."""

    passes: bool | None
    text: str
    details: dict[str, str] = field(default_factory=dict)


_UNTRIED = Forecast(None, "not tried here: it made its worker die; a replay is handled in quarantine, by itself")

_BY_THE_JUDGE: Final = Forecast(None, "it would pass the judge; what the database says of it this role may not try")
_FORBIDDEN: Final = "42501"
"""SQLSTATE: the role lacks a right."""

_WORDS: Final[Mapping[str, str]] = {
    STORED.name: "would now be stored: {path}",
    DUPLICATE.name: "would now be stored: {path} (the same message is there already)",
    SKIPPED.name: "would now be settled without a row: it was posted during a run (rule {rule})",
}
"""By a fate's name; the verdict's own fields go in."""


class DryRun:
    """Judges letters with the settings of now, and stores them in a transaction that is rolled back.

    What only the database can tell (a conflict, an unknown run, a refused row) is so told as exactly as the
    rest; by a role that may not store, the judge alone tells, and of what he lets pass nothing is known. Close it
    after use.
    """

    def __init__(self, settings: Settings, worker_version: str) -> None:
        self._judge = Judge.from_settings(settings)
        self._store = PostgresStore(settings, worker_version, Failpoint())
        self._may_try = True

    def __call__(self, letters: Sequence[Letter]) -> list[Forecast]:
        """One forecast for each letter. Raises StoreUnavailable or Misconfigured."""
        tried = [each for each in letters if each.stage != "crash"]
        forecasts = self._forecasts([_item(each, each.message(), self._judge) for each in tried])
        by_id = {each.id: forecast for each, forecast in zip(tried, forecasts, strict=True)}
        return [by_id.get(each.id, _UNTRIED) for each in letters]

    def message(self, letter: Letter, message: Message) -> Forecast:
        """The forecast of `letter` if it sent `message` instead."""
        [told] = self._forecasts([_item(letter, message, self._judge)])
        return told

    def close(self) -> None:
        """Leave the database."""
        self._store.close()

    def _forecasts(self, items: Sequence[Judged]) -> list[Forecast]:
        if items and self._may_try:
            try:
                return [forecast(verdict) for verdict in self._store.dry_run(items)]
            except Misconfigured as error:
                if getattr(error.__cause__, "sqlstate", None) != _FORBIDDEN:
                    raise
                self._may_try = False
        return [_by_the_judge(each) for each in items]


@contextmanager
def foreseeing(settings: Settings, worker_version: str) -> Iterator[DryRun]:
    """A DryRun for the block."""
    dry_run = DryRun(settings, worker_version)
    try:
        yield dry_run
    finally:
        dry_run.close()


def _by_the_judge(item: Judged) -> Forecast:
    judged = item.judgement
    return _BY_THE_JUDGE if isinstance(judged, Candidate) else forecast(judged)


def _item(letter: Letter, message: Message, judge: Judge) -> Judged:
    delivery = Delivery(message, 0, 0, "", letter.exchange, letter.routing_key)
    return Judged(delivery, judge(message))


def forecast(verdict: Verdict) -> Forecast:
    """What a verdict means to somebody who thinks of replaying."""
    if becomes_letter(verdict):
        told = "; ".join(f"{name}: {text}" for name, text in verdict.details.items())
        return Forecast(False, f"still refused: {told}", dict(verdict.details))
    fate = verdict.fate
    words = _WORDS.get(fate.name, "not a message to be stored")
    return Forecast(fate.resolves or None, words.format_map(msgspec.structs.asdict(verdict)))
