"""One letter, with all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import structlog
from starlette.requests import Request

from consumers.database.connection import looking
from consumers.dead_letters import queries
from consumers.dead_letters.dry_run import foreseeing
from consumers.dead_letters.errors import NotEditable
from consumers.dead_letters.repository import Letter, repository_at
from consumers.dead_letters.selector import OPEN, PARKED, Selector
from ingest.console.marked import marked
from ingest.console.pages import Shown
from ingest.console.views.letters.listed import actions
from ingest.console.views.letters.text import shown, typable
from ingest.console.views.machine import Machine
from ingest.lookup import letters as lookup
from ingest.lookup.database import NAME, NotStored, reading
from schemas.settings import Settings
from schemas.validation.conflict import sides
from schemas.verdict import CONFLICTING

_ENVELOPE = (
    "kind",
    "door",
    "organization",
    "node",
    "run_id",
    "exchange",
    "routing_key",
    "content_encoding",
    "sqlstate",
    "entity",
    "requestor",
)


def show(machine: Machine, request: Request) -> Shown:
    """One letter. Who looks at it is told to the log by name."""
    settings, letter_id = machine.settings, int(request.path_params["letter"])
    if letter_id >= 2**63:
        raise NotStored(f"There is no letter {letter_id}.")
    purpose = looking(NAME, settings.read_timeout_seconds)
    who = request.state.operator.name
    with repository_at(settings.database_url, who=who, purpose=purpose) as repository:
        letter = queries.letter(repository, letter_id)
        history = queries.history(repository, letter_id)
    structlog.get_logger("ingest.console").info("letter_looked_at", who=who, letter=letter_id)
    with reading(settings) as reader:
        beside = lookup.neighbours(reader, letter_id, letter.fingerprint)
    with foreseeing(settings, version("chef-ingest")) as dry_run:
        [now] = dry_run([letter])
    pairs = queries.pairs(letter.details)
    differing = now.details if now.passes is False else dict(pairs)
    chosen = Selector(ids=(letter.id,))
    facts = {
        "letter": letter,
        "why": pairs,
        "now": now,
        "beside": beside,
        "differing": _differing(differing) if letter.reason == CONFLICTING.outcome else [],
        "history": [each | {"told": _told(each["details"])} for each in history],
        "envelope": _envelope(letter),
        "acts": actions(chosen, edit=_edit(settings, letter)) if request.state.operator.operates else [],
        "body": marked(shown(settings, letter), {name for name, _ in pairs} | set(now.details)),
    }
    return Shown("letter.html", facts)


def _envelope(letter: Letter) -> list[tuple[str, str]]:
    found = [(name, getattr(letter, name)) for name in _ENVELOPE if getattr(letter, name) is not None]
    found += [(f"sender {name.replace('_', ' ')}", value) for name, value in (letter.sender or {}).items()]
    return found + [(f"sent as {name}", value) for name, value in (letter.edited_envelope or {}).items()]


def _differing(details: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(field, stored, sent, "") of each difference from the stored row; of one that is worded otherwise, its text."""
    found = []
    for name, text in details.items():
        both = sides(str(text))
        found.append((name, *both, "") if both else (name, "", "", str(text)))
    return found


def _edit(settings: Settings, letter: Letter) -> str:
    """The page that edits it; empty of one that is settled, under way, or too large."""
    if letter.state not in (OPEN, PARKED):
        return ""
    try:
        typable(settings, letter)
    except NotEditable:
        return ""
    return f"/letters/{letter.id}/edit"


def _told(details: Any) -> str:
    """An event's details, but for what was edited of the body: it may hold what is not shown."""
    if not isinstance(details, Mapping):
        return "" if details is None else str(details)
    told = {name: value for name, value in details.items() if name not in ("diff", "patch")}
    if lines := details.get("diff"):
        told["lines"] = sum(line[:1] in ("+", "-") for line in str(lines).split("\n")[2:])
    if "patch" in details:
        told["patched"] = True
    return json.dumps(told, ensure_ascii=False) if told else ""
