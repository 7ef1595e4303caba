"""A verdict is what we say of a message: a value, made by pure code, sent back to whoever waits; its fate, what that
means for the message, is one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeGuard

import msgspec

from schemas.labels import Stage


class Fate(NamedTuple):
    """What a verdict means for its message. Logs, metrics, spans, the ledger, letters and settlement read it here."""

    name: Literal["stored", "duplicate", "merged", "skipped", "letter", "told", "parked", "delayed", "pong"]
    outcome: str
    """The word for it in log lines, spans, tallies and the metrics' label."""
    counted: bool
    """The metrics tell of it: it is a message, and not our own ping."""
    ends: bool
    """The message's way ends here: whoever waits is told, and the ledger takes it in."""
    row: bool
    """It leaves a row of its own."""
    tallied: bool
    """It leaves no row and no letter, so that the ledger keeps a tally."""
    letter: bool
    """It is kept as a dead letter."""
    resolves: bool
    """A letter whose replay ends so is resolved."""


# name, outcome, and whether it is: counted, at its end, a row, tallied, a letter, resolving
STORED: Final = Fate("stored", "stored", True, True, True, False, False, True)
DUPLICATE: Final = Fate("duplicate", "duplicate", True, True, False, True, False, True)
MERGED: Final = Fate("merged", "merged", True, True, False, True, False, True)
SKIPPED: Final = Fate("skipped", "during_run", True, True, False, True, False, True)
CONFLICTING: Final = Fate("letter", "conflict", True, True, False, False, True, False)
DEAD: Final = Fate("letter", "dead", True, True, False, False, True, False)
TOLD: Final = Fate("told", "told", True, True, False, True, False, False)
PARKED: Final = Fate("parked", "parked", True, True, False, False, False, False)
DELAYED: Final = Fate("delayed", "delayed", True, False, False, False, False, False)
PONG: Final = Fate("pong", "ping", False, True, False, False, False, False)

FATES: Final = (STORED, DUPLICATE, MERGED, SKIPPED, CONFLICTING, DEAD, TOLD, PARKED, DELAYED, PONG)
OUTCOMES: Final = tuple(fate.outcome for fate in FATES if fate.counted)
"""Every value of the metrics' label `outcome`."""


class Created(msgspec.Struct, frozen=True, gc=False):
    """The message is committed. `path` is the resource's path, e.g. `/actions/<id>`.

    `duplicate` says that the same message was committed before, `merged` that it told more of what has a row by
    another one, such as the run that the other door told of first; the answer is the same. `door_mismatch`: it is the
    first by which two doors tell of different nodes or organizations of a run, for the metrics.
    """

    code: ClassVar[str] = "created"
    path: str
    duplicate: bool = False
    merged: bool = False
    door_mismatch: bool = False

    @property
    def fate(self) -> Fate:
        if self.merged:
            return MERGED
        return DUPLICATE if self.duplicate else STORED


class DuringRun(msgspec.Struct, frozen=True, gc=False):
    """An action posted during a chef-client run: not stored (the seed's 200).

    `rule` is the rule that said so (`run_id` or `self_node_update`); `run_id` the run, if known.
    """

    code: ClassVar[str] = "during_run"
    fate: ClassVar[Fate] = SKIPPED
    rule: str
    run_id: str | None = None


FOREIGN: Final = "foreign_organization"
"""The reason of an Invalid whose sender may not speak for its organization."""


class Invalid(msgspec.Struct, frozen=True):
    """The message can't be stored as it is. `details` is field -> text, every fault at once.

    `reason` is a stable code for grouping (`not_json`, `schema`, `too_large`, `content_encoding`, ...);
    `sqlstate` is set where the database refused the row. `told`: why no letter is kept, see `without_letter`.
    `letter` is its number, where the door tells it.
    """

    code: ClassVar[str] = "invalid"
    stage: Stage
    reason: str
    details: Mapping[str, str] = {}
    sqlstate: str | None = None
    told: str = ""
    letter: int | None = None

    @property
    def fate(self) -> Fate:
        return TOLD if self.told else DEAD


class UnknownRun(msgspec.Struct, frozen=True):
    """A run end for a run that nobody started at that organization and node (404)."""

    code: ClassVar[str] = "unknown_run"
    stage: ClassVar[Stage] = "meaning"
    reason: ClassVar[str] = code
    sqlstate: ClassVar[None] = None
    run_id: str
    text: str
    told: str = ""
    letter: int | None = None

    @property
    def fate(self) -> Fate:
        return TOLD if self.told else DEAD

    @property
    def details(self) -> Mapping[str, str]:
        return {"run_id": self.text}


class WaitsForRun(UnknownRun, frozen=True):
    """An UnknownRun that nobody waits for: it is tried again later, and never an answer."""

    fate: ClassVar[Fate] = DELAYED


class Conflict(msgspec.Struct, frozen=True):
    """The same id with other content; the first one stays (409). `details` names what differs."""

    code: ClassVar[str] = "conflict"
    stage: ClassVar[Stage] = "meaning"
    reason: ClassVar[str] = code
    sqlstate: ClassVar[None] = None
    details: Mapping[str, str]
    told: str = ""
    letter: int | None = None

    @property
    def fate(self) -> Fate:
        return TOLD if self.told else CONFLICTING


class Pong(msgspec.Struct, frozen=True):
    """A ping that went through the queue and a transaction: the whole path is alive."""

    code: ClassVar[str] = "pong"
    fate: ClassVar[Fate] = PONG


class Unkept(Invalid, frozen=True):
    """An Invalid of which not even a letter could be made: it is parked in a queue, and never an answer."""

    fate: ClassVar[Fate] = PARKED


Unstorable = Invalid | UnknownRun | Conflict
"""Those that say why: `stage`, `reason`, `details` and `sqlstate` of the letter."""
Verdict = Created | DuringRun | Invalid | UnknownRun | Conflict | Pong

_BY_CODE: dict[str, type[Verdict]] = {
    kind.code: kind for kind in (Created, DuringRun, Invalid, UnknownRun, Conflict, Pong)
}


def becomes_letter(verdict: Verdict) -> TypeGuard[Unstorable]:
    """Whether a message with this verdict is kept as a dead letter."""
    return verdict.fate.letter


def without_letter(verdict: Unstorable, why: str) -> Unstorable:
    """The same refusal, of which no letter is kept: its sender waits and is told, that and `why`."""
    return msgspec.structs.replace(verdict, told=why)


def with_letter(verdict: Unstorable, number: int) -> Unstorable:
    """The same refusal, with the number of the letter that is kept of its message."""
    return msgspec.structs.replace(verdict, letter=number)


def is_told(verdict: Verdict) -> TypeGuard[Unstorable]:
    """Whether the answer to whoever waits is all that is left of a message with this verdict."""
    return verdict.fate is TOLD


def is_parked(verdict: Verdict) -> TypeGuard[Unkept]:
    """Whether not even a letter could be made of a message with this verdict."""
    return verdict.fate is PARKED


def to_wire(verdict: Verdict) -> dict[str, Any]:
    """A JSON-able dict, the form in which a worker tells a shim; inverse of `from_wire`."""
    fields = {"code": verdict.code} | msgspec.structs.asdict(verdict)
    # A shim of the release before knows no such fields, and none needs the mismatch.
    return {
        name: each
        for name, each in fields.items()
        if name != "door_mismatch" and (each or name not in ("told", "merged", "letter"))
    }


def from_wire(wire: Mapping[str, Any]) -> Verdict:
    """The verdict a worker sent. Raises KeyError or TypeError on anything else."""
    fields = dict(wire)
    return _BY_CODE[fields.pop("code")](**fields)
