"""All supervisors as one list: ours as its socket tells it, the others by what they wrote down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from consumers.machines.supervisors import Home, Told
from schemas.labels import LANES

_OWN: Final = ("version", "mode", "wanted", "auto", "rate", "up_seconds")
_SEEN: Final = ("not_reloaded", "deaths", "last_death", "nodes", "nodes_missing", "letters_of_hour")
"""What a supervisor tells beyond itself as it is; one of another version may not."""


def machines(here: Mapping[str, Any], told: Iterable[Told], home: Home) -> list[dict[str, Any]]:
    """A row for each supervisor: ours as its socket tells it, the others as they have written it down."""
    rows = [
        _machine(each.home, each.said, each.silent_seconds, here=False, stale=each.stale)
        for each in told
        if not here or each.home != home
    ]
    return ([_machine(home, here, 0.0, here=True, stale=False)] if here else []) + rows


def machine(told: Told) -> dict[str, Any]:
    """A row for one of them, without its workers."""
    row = _machine(told.home, told.said, told.silent_seconds, here=False, stale=told.stale)
    return {name: value for name, value in row.items() if name not in ("here", "workers", *_SEEN)}


def _machine(home: Home, said: Mapping[str, Any], silent_seconds: float, *, here: bool, stale: bool) -> dict[str, Any]:
    workers = said.get("workers", [])
    return {
        **home._asdict(),
        "here": here,
        "stale": stale,
        "silent_seconds": round(silent_seconds, 1),
        "consuming": sum(each["state"] == "consuming" for each in workers if each["lane"] == LANES[0]),
        "in_hand": sum(int(each["in_hand"]) for each in workers),
        **{name: said.get(name) for name in (*_OWN, *_SEEN)},
        "workers": workers,
    }
