"""Letters: by cause as cards, by filters as a list, with what can be done about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from consumers.dead_letters.selector import NEWEST, OLDEST, PAGED, UNSETTLED, Selector
from ingest.console.fence import TurnedAway
from ingest.console.pages import Shown
from ingest.console.views.asked import asked
from ingest.console.views.letters.chosen import CHOICES, fields, selected
from ingest.console.views.letters.decided import VERBS
from ingest.console.views.machine import Machine
from ingest.lookup import letters as lookup
from ingest.lookup.database import reading

_SORTED: Final[Mapping[str, str]] = {
    NEWEST: "the newest first",
    OLDEST: "the oldest first",
    "seen": "those last seen first",
    "attempts": "those that came most often first",
    "size": "the largest first",
}
"""Each of SORTS in words, the usual one first."""


def show(machine: Machine, request: Request) -> Shown:
    """Causes as cards, and below them the letters themselves; those not settled, unless a state is named."""
    wanted = asked(request)
    selector, after = selected(wanted), wanted.number("after")
    sort = wanted.choice("sort", tuple(_SORTED)) or NEWEST
    if after is not None and sort not in PAGED:
        raise TurnedAway(400, f"a list goes on by its next page where its order is {NEWEST} or {OLDEST}")
    shown = selector.within(*UNSETTLED)
    with reading(machine.settings) as reader:
        causes = [] if "fingerprint" in wanted.values else lookup.causes(reader, shown)
        rows, last = lookup.listed(reader, dataclasses.replace(shown, after=after), sort)
        choices = lookup.choices(reader)
    facts = {"asked": wanted, "causes": causes, "rows": rows, "next": wanted.next(last), "choices": choices}
    facts |= {"sort": sort, "sorts": _SORTED}
    acts = actions(selector) if request.state.operator.operates else []
    return Shown("letters.html", facts | {"known": CHOICES, "acts": acts})


_ACTIONS: Final = (("Replay…", "/replays/new", {}), *(
    (f"{verb.capitalize()}…", "/letters/confirm", {"verb": verb}) for verb in VERBS
), ("Export", "/letters/export", {}))  # fmt: skip


def actions(selector: Selector, edit: str = "") -> list[tuple[str, str]]:
    """What can be done about these letters: a word, and the page that says what it would do; `edit` is one of them."""
    chosen = fields(dataclasses.replace(selector, after=None))
    found = [(text, f"{path}?{urlencode(more | chosen)}") for text, path, more in _ACTIONS]
    if len(selector.ids) != 1:
        return [*found, ("Edit alike…", f"/letters/patch?{urlencode(chosen)}")]
    return [("Edit…", edit), *found] if edit else found
