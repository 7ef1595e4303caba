"""Says of letters what would become of them if they were replayed now; nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.dead_letters.repository import Letter
from consumers.delivery import Delivery, Judged
from consumers.runtime.failpoints import Failpoint
from consumers.store.letter import Reason
from consumers.store.store import PostgresStore
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.judge import Judge
from schemas.verdict import Conflict, Created, DuringRun, Invalid, UnknownRun, Verdict


@dataclass(frozen=True, slots=True)
class Forecast:
    """`passes`: a replay would resolve the letter; None: that is not tried here. `text` says it in words."""

    passes: bool | None
    text: str
    details: dict[str, str] = field(default_factory=dict)


_UNTRIED = Forecast(None, "not tried here: it made its worker die; a replay is handled in quarantine, by itself")


class DryRun:
    """Judges letters with the settings of now, and stores them in a transaction that is rolled back.

    What only the database can tell (a conflict, an unknown run, a refused row) is so told as exactly as the
    rest. Close it after use.
    """

    def __init__(self, settings: Settings, worker_version: str) -> None:
        self._judge = Judge.from_settings(settings)
        self._store = PostgresStore(settings, worker_version, Failpoint())

    def __call__(self, letters: Sequence[Letter]) -> list[Forecast]:
        """One forecast for each letter. Raises StoreUnavailable or Misconfigured."""
        tried = [each for each in letters if each.stage != "crash"]
        verdicts = self._verdicts(tried)
        by_id = {each.id: forecast(verdict) for each, verdict in zip(tried, verdicts, strict=True)}
        return [by_id.get(each.id, _UNTRIED) for each in letters]

    def message(self, letter: Letter, message: Message) -> Forecast:
        """The forecast of `letter` if it sent `message` instead."""
        [verdict] = self._store.rehearse([_item(letter, message, self._judge)])
        return forecast(verdict)

    def close(self) -> None:
        """Leave the database."""
        self._store.close()

    def _verdicts(self, letters: Sequence[Letter]) -> Sequence[Verdict]:
        items = [_item(each, each.message(), self._judge) for each in letters]
        return self._store.rehearse(items) if items else []


def _item(letter: Letter, message: Message, judge: Judge) -> Judged:
    delivery = Delivery(message, 0, 0, "", letter.exchange, letter.routing_key)
    return Judged(delivery, judge(message))


def forecast(verdict: Verdict) -> Forecast:
    """What a verdict means to somebody who thinks of replaying."""
    if isinstance(verdict, Created):
        again = " (the same message is there already)" if verdict.duplicate else ""
        return Forecast(True, f"would now be stored: {verdict.path}{again}")
    if isinstance(verdict, DuringRun):
        return Forecast(True, f"would now be settled without a row: it was posted during a run (rule {verdict.rule})")
    if isinstance(verdict, Invalid | Conflict | UnknownRun):
        reason = Reason.of(verdict)
        told = "; ".join(f"{name}: {text}" for name, text in reason.details.items())
        return Forecast(False, f"still refused: {told}", dict(reason.details))
    return Forecast(None, "not a message to be stored")
