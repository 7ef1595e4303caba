"""Decisions about letters: what one would change is shown, counted and by cause; then it is done, if it is still so."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request

from consumers.dead_letters import queries, transitions
from consumers.dead_letters.repository import Repository, repository_at
from consumers.dead_letters.selector import Selector
from ingest.console.entrance import Operator
from ingest.console.fence import require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import UNTYPED, Question, asked, ordered
from ingest.console.views.letters.chosen import fields, selected
from ingest.console.views.machine import CHANGING, Machine
from schemas.settings import Settings

PRUNE: Final = "prune"
VERBS: Final = (*transitions.CHANGES, PRUNE)
MOST_CAUSES: Final = 10

_TEXTS: Final[Mapping[str, str]] = {
    "discard": "They are given up: kept as discarded, with who and why, and not replayed. Unpark opens them again.",
    "park": "They are put aside: a replay sends them only when they are named.",
    "unpark": "They are open again, and go with the next replay.",
    PRUNE: "They are deleted with their histories, and can't be had back. One event and the ledger tell how many.",
}
_UNSETTLED_TOO: Final = "unsettled_too"


def confirm(machine: Machine, request: Request) -> Shown:
    """What a decision would change, and the form that makes it."""
    require_operate(request.state.operator)
    wanted = asked(request)
    verb, selector, settings = _verb(wanted), selected(wanted), machine.settings
    facts: dict[str, Any] = {"verb": verb, "text": _TEXTS[verb], "untyped": UNTYPED, "causes": [], "limits": ""}
    with repository_at(settings.database_url, who="", purpose=CHANGING) as repository:
        if verb == PRUNE:
            states = Counter(row["state"] for row in _doomed(repository, settings, selector, wanted))
            facts["limits"] = (
                f"Settled longer than {settings.letters_keep_days or 'any number of'} days ago "
                f"(INGEST_LETTERS_KEEP_DAYS), or the oldest beyond {settings.letters_max or 'any number'} "
                "(INGEST_LETTERS_MAX)."
            )
        else:
            chosen = transitions.affected(selector, transitions.CHANGES[verb])
            states = Counter()
            for row in queries.stats(repository, chosen):
                states[row["state"]] += row["letters"]
            facts["causes"] = queries.groups(repository, dataclasses.replace(chosen, limit=MOST_CAUSES))
    counted = states.total()
    kept = {"verb": verb, "counted": str(counted), **fields(selector)}
    if wanted.text(_UNSETTLED_TOO):
        kept[_UNSETTLED_TOO] = "yes"
    facts |= {"states": states, "counted": counted, "kept": kept, "words": selector.in_words() or "every letter"}
    return Shown("decide.html", facts | {"back": _place(selector), "asked": wanted})


def change(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Make it; the path to go to. Raises TurnedAway, NotAsSeen, StoreUnavailable or Misconfigured."""
    require_operate(operator)
    wanted = ordered(sent)
    verb, selector, seen = _verb(wanted), selected(wanted), wanted.seen()
    url, who = machine.settings.database_url, operator.name
    with repository_at(url, who=who, why=wanted.why(), purpose=CHANGING) as repository:
        if verb == PRUNE:
            with repository.connection.transaction():
                rows = _doomed(repository, machine.settings, selector, wanted)
                transitions.require_seen(seen, len(rows))
                transitions.require_seen(seen, sum(transitions.prune(repository, rows).values()))
            return "/letters"
        transitions.apply(repository, selector, transitions.CHANGES[verb], seen)
    return _place(selector)


def _verb(wanted: Question) -> str:
    return wanted.choice("verb", VERBS) or VERBS[0]


def _doomed(repository: Repository, settings: Settings, selector: Selector, wanted: Question) -> list[dict[str, Any]]:
    limits = {"keep_days": settings.letters_keep_days, "most": settings.letters_max}
    return transitions.doomed(repository, selector, **limits, unsettled_too=_UNSETTLED_TOO in wanted.values)


def _place(selector: Selector) -> str:
    """The page that shows these letters."""
    if len(selector.ids) == 1:
        return f"/letters/{selector.ids[0]}"
    kept = {name: value for name, value in fields(selector).items() if name != "state"}
    return "/letters" + (f"?{urlencode(kept)}" if kept else "")
