"""The ledger of a run: what was acknowledged against what the tables hold (Jepsen's total-queue check); pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Key = tuple[str, str]
"""(kind, id): what a message is one of. A message sent twice is one key."""
Expected = Literal["row", "skip", "letter"]
"""What a message is to become when nothing goes wrong: a row, a count under a rule, a dead letter."""

SHOWN: Final = 5
"""How many offending keys an account names."""


def digest(payload: bytes) -> bytes:
    """What a payload is recognised by among the letters."""
    return hashlib.sha256(payload).digest()


@dataclass(slots=True)
class LedgerEntry:
    """One key's life at its senders: how often it was sent, acknowledged and refused, and with which bodies."""

    fate: Expected
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    digests: set[bytes] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Found:
    """What the servers hold in the end.

    `rows`: key -> how many rows; `marks`: key -> a column that tells one body from another;
    `letters`: payload digest -> how many letters (one for each door it came through), `twice`: those with two
    letters of one and the same message; `waiting`: queue -> messages still in it.
    """

    rows: Mapping[Key, int]
    marks: Mapping[Key, str]
    letters: Mapping[bytes, int]
    skipped: int = 0
    repeated: int = 0
    twice: Collection[bytes] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)


class SoakLedger:
    """Written by the senders while they send; told the time in seconds on any one clock."""

    def __init__(self) -> None:
        self.entries: dict[Key, LedgerEntry] = {}
        self.answers: Counter[str] = Counter()
        self.promised = 0
        """Keys acknowledged so far; may be read while senders are at work."""
        self._last: float | None = None
        self._stall = 0.0

    def begin(self, now: float) -> None:
        """The senders are at work from now on: a stall counts from here."""
        self._last = now

    def end(self, now: float) -> None:
        """The senders have stopped."""
        self._progress(now)
        self._last = None

    def sent(self, key: Key, payload: bytes, *, fate: Expected = "row", mark: str = "") -> None:
        """A message is about to be sent, perhaps once more."""
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = LedgerEntry(fate)
        entry.sent += 1
        entry.digests.add(digest(payload))
        entry.marks.add(mark)

    def acknowledged(self, key: Key, answer: str, now: float) -> None:
        """The sender was promised this message: 200, 201, 202 or a publisher confirm."""
        entry = self.entries[key]
        self.promised += not entry.acknowledged
        entry.acknowledged += 1
        self.answers[answer] += 1
        self._progress(now)

    def refused(self, key: Key, answer: str) -> None:
        """The sender was told no, or nothing at all: 4xx, 5xx, nack, return, a broken connection."""
        self.entries[key].refused += 1
        self.answers[answer] += 1

    def _progress(self, now: float) -> None:
        if self._last is not None:
            self._stall = max(self._stall, now - self._last)
            self._last = now

    def reconcile(self, found: Found) -> Reconciliation:
        """What was acknowledged minus what is there, and the other way round."""
        known: dict[bytes, list[Key]] = {}
        for key, entry in self.entries.items():
            for each in entry.digests:
                known.setdefault(each, []).append(key)
        # Messages that have one body share its letters: they belong to the promised that are nowhere else.
        in_letters = {
            key
            for each, count in found.letters.items()
            for key in sorted(
                known.get(each, ()), key=lambda key: (key in found.rows, not self.entries[key].acknowledged)
            )[:count]
        }
        missing = [
            key
            for key, entry in self.entries.items()
            if entry.acknowledged and key not in found.rows and key not in in_letters
        ]
        skips = [key for key in missing if self.entries[key].fate == "skip"]
        lost = [key for key in missing if self.entries[key].fate != "skip"]
        # Skipped messages leave a count and no name: which of them are lost nobody can say, only how many.
        lost += skips[: max(0, len(skips) - found.skipped)]
        unexpected = [key for key in found.rows if not self._expected(key, found.marks.get(key, ""))]
        unexpected += [("letter", each.hex()) for each in found.letters if each not in known]
        doubled = [key for key, count in found.rows.items() if count > 1]
        doubled += [("letter", each.hex()) for each in found.twice]
        unpromised = {key for key, entry in self.entries.items() if not entry.acknowledged}
        return Reconciliation(
            sent=len(self.entries),
            acknowledged=len(self.entries) - len(unpromised),
            refused=len(unpromised),
            stored=sum(found.rows.values()),
            skipped=found.skipped,
            letters=sum(found.letters.values()),
            lost=tuple(lost),
            unexpected=tuple(unexpected),
            duplicated=tuple(doubled),
            recovered=sum(1 for key in unpromised if key in found.rows or key in in_letters),
            repeated=found.repeated,
            longest_stall=self._stall,
            waiting=dict(found.waiting),
            answers=dict(self.answers),
        )

    def _expected(self, key: Key, mark: str) -> bool:
        entry = self.entries.get(key)
        return entry is not None and entry.fate != "letter" and (not mark or mark in entry.marks)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A reconciled ledger. Counts are of keys, `stored` of rows; `longest_stall` is in seconds.

    `refused`: nobody was promised anything; `recovered`: those of them that are stored nevertheless.
    `repeated`: deliveries of what was stored already, as the workers counted them.
    """

    sent: int
    acknowledged: int
    refused: int
    stored: int
    skipped: int
    letters: int
    lost: tuple[Key, ...]
    unexpected: tuple[Key, ...]
    duplicated: tuple[Key, ...]
    recovered: int
    repeated: int
    longest_stall: float
    waiting: Mapping[str, int]
    answers: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing that was not sent, nothing twice, and nothing left in a queue."""
        return not (self.lost or self.unexpected or self.duplicated or any(self.waiting.values()))

    def rows(self) -> list[tuple[str, str]]:
        """(name, value) of every line, in the order of reading."""
        counted = [
            ("sent", self.sent),
            ("acknowledged", self.acknowledged),
            ("refused", self.refused),
            ("stored", self.stored),
            ("skipped", self.skipped),
            ("letters", self.letters),
            ("lost", len(self.lost)),
            ("unexpected", len(self.unexpected)),
            ("duplicated", len(self.duplicated)),
            ("recovered", self.recovered),
            ("repeated", self.repeated),
        ]
        lines = [(name, str(value)) for name, value in counted]
        lines.append(("longest stall", f"{self.longest_stall:.1f} s"))
        lines.append(("answers", ", ".join(f"{name}: {n}" for name, n in sorted(self.answers.items())) or "none"))
        offending = (("lost", self.lost), ("unexpected", self.unexpected), ("duplicated", self.duplicated))
        lines += [(f"{name}, e.g.", " ".join(map("/".join, keys[:SHOWN]))) for name, keys in offending if keys]
        lines += [(f"left in {queue}", str(count)) for queue, count in self.waiting.items() if count]
        return lines

    def __str__(self) -> str:
        verdict = "the ledger holds" if self.holds else "THE LEDGER DOES NOT HOLD"
        return "\n".join([*(f"{name:>16}  {value}" for name, value in self.rows()), f"{'':>16}  {verdict}"])
