"""A verdict is what we say of a message: a value, made by pure code, sent back to whoever waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

Stage = Literal["decode", "schema", "meaning", "database", "crash", "broker"]


class Created(msgspec.Struct, frozen=True, gc=False):
    """The message is committed. `path` is the resource's path, e.g. `/actions/<id>`.

    `duplicate` says that the same message had been committed before; the answer is the same.
    """

    code: ClassVar[str] = "created"
    path: str
    duplicate: bool = False


class DuringRun(msgspec.Struct, frozen=True, gc=False):
    """An action posted during a chef-client run: not stored (the seed's 200).

    `rule` is the rule that said so (`run_id` or `self_node_update`); `run_id` the run, if known.
    """

    code: ClassVar[str] = "during_run"
    rule: str
    run_id: str | None = None


class Invalid(msgspec.Struct, frozen=True):
    """The message can't be stored as it is. `details` is field -> text, every fault at once.

    `reason` is a stable code for grouping (`not_json`, `schema`, `too_large`, `content_encoding`, ...);
    `sqlstate` is set where the database refused the row.
    """

    code: ClassVar[str] = "invalid"
    stage: Stage
    reason: str
    details: Mapping[str, str] = {}
    sqlstate: str | None = None


class UnknownRun(msgspec.Struct, frozen=True):
    """A run end for a run that nobody started at that organization and node (404)."""

    code: ClassVar[str] = "unknown_run"
    run_id: str
    text: str


class WaitsForRun(UnknownRun, frozen=True):
    """An UnknownRun that nobody waits for: it is tried again later, and never an answer."""


class Conflict(msgspec.Struct, frozen=True):
    """The same id with other content; the first one stays (409). `details` names what differs."""

    code: ClassVar[str] = "conflict"
    details: Mapping[str, str]


class Pong(msgspec.Struct, frozen=True):
    """A ping that went through the queue and a transaction: the whole path is alive."""

    code: ClassVar[str] = "pong"


class Unkept(Invalid, frozen=True):
    """An Invalid of which not even a letter could be made: it is parked in a queue, and never an answer."""


Verdict = Created | DuringRun | Invalid | UnknownRun | Conflict | Pong

_BY_CODE: dict[str, type[Verdict]] = {
    kind.code: kind for kind in (Created, DuringRun, Invalid, UnknownRun, Conflict, Pong)
}


def to_wire(verdict: Verdict) -> dict[str, Any]:
    """A JSON-able dict, the form in which a worker tells a shim; inverse of `from_wire`."""
    return {"code": verdict.code} | msgspec.structs.asdict(verdict)


def from_wire(wire: Mapping[str, Any]) -> Verdict:
    """The verdict a worker sent. Raises KeyError or TypeError on anything else."""
    fields = dict(wire)
    return _BY_CODE[fields.pop("code")](**fields)
