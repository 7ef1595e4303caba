"""Letters: by cause as cards, by filters as a list, with what can be done about them."""

from __future__ import annotations

import dataclasses
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from consumers.dead_letters.selector import UNSETTLED, Selector
from ingest.console.pages import Shown
from ingest.console.views.asked import asked
from ingest.console.views.letters.chosen import CHOICES, fields, selected
from ingest.console.views.letters.decided import VERBS
from ingest.console.views.machine import Machine
from ingest.lookup import letters as lookup
from ingest.lookup.database import reading


def show(machine: Machine, request: Request) -> Shown:
    """Causes as cards, and below them the letters themselves; those not settled, unless a state is named."""
    wanted = asked(request)
    selector = selected(wanted)
    shown = selector.within(*UNSETTLED)
    with reading(machine.settings) as reader:
        causes = [] if "fingerprint" in wanted.values else lookup.causes(reader, shown)
        rows, last = lookup.listed(reader, shown, wanted.number("after"))
        choices = lookup.choices(reader)
    facts = {"asked": wanted, "causes": causes, "rows": rows, "next": wanted.next(last), "choices": choices}
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
