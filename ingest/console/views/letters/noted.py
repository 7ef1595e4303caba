"""A note on a cause: shown wherever letters are grouped, left by whoever knows more."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from consumers.dead_letters import notes, queries
from consumers.dead_letters.errors import NoSuchCause
from consumers.dead_letters.repository import repository_at
from consumers.dead_letters.selector import Selector
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import asked
from ingest.console.views.machine import PURPOSE, Machine


def show(machine: Machine, request: Request) -> Shown:
    """The note that there is, in a form that leaves another one."""
    require_operate(request.state.operator)
    fingerprint = asked(request).text("fingerprint") or ""
    with repository_at(machine.settings.database_url, who="", purpose=PURPOSE) as repository:
        found = queries.groups(repository, Selector(fingerprints=(fingerprint,), limit=1)) if fingerprint else []
    if not found:
        raise NoSuchCause(f"{fingerprint or 'nothing'} is no cause of letters")
    return Shown("note.html", {"cause": found[0], "longest": notes.LONGEST_NOTE})


def change(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Leave it, or take it away without a text; the path to go to. Raises TurnedAway or NoSuchCause."""
    require_operate(operator)
    text, fingerprint = sent.get("text", "").strip().replace("\r\n", "\n"), sent.get("fingerprint", "")
    if not fingerprint or len(text) > notes.LONGEST_NOTE:
        raise TurnedAway(400, f"a note is on a cause, and has at most {notes.LONGEST_NOTE} characters")
    with repository_at(machine.settings.database_url, who=operator.name, purpose=PURPOSE) as repository:
        notes.write(repository, fingerprint, text)
    return "/letters"
