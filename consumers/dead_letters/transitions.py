"""A person's decisions about letters, each with its event: discard, park, unpark, prune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from consumers.dead_letters.errors import NotAsSeen
from consumers.dead_letters.repository import Repository
from consumers.dead_letters.selector import DISCARDED, OPEN, PARKED, RESOLVED, Selector


@dataclass(frozen=True, slots=True)
class Change:
    """A verb: the event it leaves, the state it leads to, and from which states where none are asked for."""

    what: str
    to_state: str
    from_states: tuple[str, ...]


CHANGES: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "discard": Change("discarded", DISCARDED, (OPEN, PARKED)),
        "park": Change("parked", PARKED, (OPEN,)),
        "unpark": Change("unparked", OPEN, (PARKED,)),
    }
)


_NONE: Final = Selector(ids=(0,))
"""No letter has that number."""


def affected(selector: Selector, change: Change) -> Selector:
    """The letters a change is about. What is resolved stays so: its row is stored."""
    asked = selector.within(*change.from_states).states
    states = tuple(state for state in asked if state not in (RESOLVED, change.to_state))
    return replace(selector, states=states) if states else _NONE


def apply(repository: Repository, selector: Selector, change: Change, seen: int | None = None) -> int:
    """Change the letters; how many there were. Raises NotAsSeen, and changes none, where those are not `seen`."""
    chosen = affected(selector, change)
    where, values = chosen.where()
    facts = {"what": change.what, "to_state": change.to_state, "from_states": list(chosen.states)}
    with repository.connection.transaction():
        changed = repository.execute("change_state", where, limit=chosen.limit, **facts, **values)
        require_seen(seen, changed)
    return changed


def require_seen(seen: int | None, now: int) -> None:
    """Raises NotAsSeen where so many letters are meant now and another number was seen; None: nobody looked."""
    if seen not in (None, now):
        raise NotAsSeen(f"{now} letters are meant now, and {seen} were when you looked; look again")


def doomed(
    repository: Repository, selector: Selector, *, keep_days: int, most: int, unsettled_too: bool
) -> list[dict[str, Any]]:
    """What a prune would take: id, state, bytes. Settled letters (resolved, discarded) older than `keep_days`,
    and the oldest beyond `most`; unsettled ones only with `unsettled_too`. 0 is no limit."""
    where, values = selector.where()
    limits = {"keep_days": keep_days, "most": most, "unsettled_too": unsettled_too}
    return repository.rows("doomed", where, **limits, **values)[: selector.limit]


def prune(repository: Repository, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Delete what `doomed` found, with its events; how many by state. One event tells of it."""
    told = repository.rows("prune", ids=[row["id"] for row in rows])
    return dict(told[0]["details"]) if told else {}
