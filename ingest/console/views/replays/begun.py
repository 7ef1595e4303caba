"""A replay is begun: what it would send is shown, by cause, with how much of that would pass; then it is sent."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from consumers.dead_letters.dry_run import foreseeing
from consumers.dead_letters.replays import register
from consumers.dead_letters.replays.preview import preview
from consumers.dead_letters.replays.register import ALL, FIXED, HOPEFUL, ReplayRequest
from consumers.dead_letters.replays.sending import remaining
from consumers.dead_letters.replays.words import LONGEST_NAME, check_name, rate_of
from consumers.dead_letters.repository import repository_at
from consumers.dead_letters.transitions import require_seen
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import UNTYPED, Question, asked, ordered
from ingest.console.views.letters.chosen import fields, selected
from ingest.console.views.machine import CHANGING, Machine
from ingest.console.views.replays.wished import carry_out
from schemas.labels import REPLAY_ACCEPTS

JUDGED: Final = 1000
"""So many letters are looked at for the preview, the first ones; the replay looks at each."""
ACCEPTS: Final = {
    HOPEFUL: "all but those that would be refused again",
    FIXED: "only those that would pass now",
    ALL: "all, those too that would be refused again",
}
_MOST_FAILURES: Final = 2**31 - 1


def show(machine: Machine, request: Request) -> Shown:
    """What a replay would send, how it can be held back, and the form that begins it."""
    require_operate(request.state.operator)
    wanted = asked(request)
    order = _order(wanted)
    with (
        foreseeing(machine.settings, version("chef-ingest")) as dry_run,
        repository_at(machine.settings.database_url, who="", purpose=CHANGING) as repository,
    ):
        counted = remaining(repository, order.selector, None)
        seen = preview(repository, order, None, dry_run, JUDGED)
    chosen = fields(order.selector)
    facts = {
        "asked": wanted, "order": order, "accepts": ACCEPTS, "seen": seen, "sent": seen.sent(order.accepts),
        "counted": counted, "untyped": UNTYPED, "longest": LONGEST_NAME, "chosen": chosen,
        "words": order.selector.in_words() or "every open letter", "back": f"/letters?{urlencode(chosen)}",
    }  # fmt: skip
    return Shown("replay_new.html", facts)


def change(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Begin it, in a process of its own; the page that shows it. Raises TurnedAway, NotAsSeen, NeedsSession."""
    require_operate(operator)
    wanted = ordered(sent)
    order, seen, why = _order(wanted), wanted.seen(), wanted.why()
    url = machine.settings.database_url
    with repository_at(url, who=operator.name, why=why, purpose=CHANGING) as repository:
        with repository.connection.transaction():
            begun = register.begin(repository, order)
            require_seen(seen, remaining(repository, order.selector, begun))
        register.hand_over(repository, begun.number)
    carry_out(machine, begun.number, operator.name, why)
    return f"/replays/{begun.number}"


def _order(wanted: Question) -> ReplayRequest:
    """What is asked for. Raises TurnedAway (400)."""
    accepts = next((each for each in REPLAY_ACCEPTS if each == wanted.choice("accepts", REPLAY_ACCEPTS)), HOPEFUL)
    selector, name, rate = selected(wanted), wanted.text("name"), wanted.text("rate")
    until_failures = wanted.number("until_failures")
    try:
        if name is not None:
            check_name(name)
        pace = None if rate is None else rate_of(rate)
    except ValueError as error:
        raise TurnedAway(400, f"{error}: nothing was done") from None
    if until_failures is not None and not 0 < until_failures <= _MOST_FAILURES:
        raise TurnedAway(400, "a replay stops after 1 failure or more: nothing was done")
    typed = {"selector": fields(selector), "accepts": accepts} | ({"name": name} if name else {})
    order = ReplayRequest(request=json.dumps(typed, sort_keys=True), selector=selector, name=name, rate=pace)
    return dataclasses.replace(order, accepts=accepts, until_failures=until_failures)
