"""Letters: by cause as cards, by filters as a list, one with all that is known of it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import structlog
from starlette.requests import Request

from consumers.database.connection import Purpose
from consumers.dead_letters import queries
from consumers.dead_letters.dry_run import DryRun, Forecast, forecast
from consumers.dead_letters.repository import Letter, repository_at
from consumers.dead_letters.selector import UNSETTLED, Selector
from consumers.errors import Misconfigured
from ingest.console.marked import marked
from ingest.console.pages import Shown
from ingest.console.views.asked import Question, asked
from ingest.console.views.machine import Machine
from ingest.lookup import letters as lookup
from ingest.lookup.database import NotStored, reading
from schemas.doors import WORDS
from schemas.kinds import KINDS
from schemas.labels import LETTER_STATES, STAGES
from schemas.settings import Settings
from schemas.validation.judge import Candidate, Judge
from schemas.validation.redaction import Redaction

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
)


def show(machine: Machine, request: Request) -> Shown:
    """Causes as cards, and below them the letters themselves."""
    wanted = asked(request)
    selector = selected(wanted)
    with reading(machine.settings) as reader:
        causes = [] if "fingerprint" in wanted.values else lookup.causes(reader, selector)
        rows, last = lookup.listed(reader, selector, wanted.number("after"))
        choices = lookup.choices(reader)
    facts = {"asked": wanted, "causes": causes, "rows": rows, "next": wanted.next(last), "choices": choices}
    words = {"states": LETTER_STATES, "stages": STAGES, "doors": WORDS, "kinds": tuple(KINDS)}
    return Shown("letters.html", facts | words)


def selected(wanted: Question) -> Selector:
    """The letters that an address asks for; those that nobody has settled, unless it names a state."""
    texts = {"organizations": "organization", "nodes": "node", "reasons": "reason", "fingerprints": "fingerprint"}
    given: dict[str, Any] = {many: (value,) for many, one in texts.items() if (value := wanted.text(one))}
    words = {"states": ("state", LETTER_STATES), "stages": ("stage", STAGES), "doors": ("door", WORDS)}
    words["kinds"] = ("kind", tuple(KINDS))
    given |= {many: (value,) for many, (one, all_) in words.items() if (value := wanted.choice(one, all_))}
    return Selector(since=wanted.time("since"), until=wanted.time("until"), **given).within(*UNSETTLED)


def show_one(machine: Machine, request: Request) -> Shown:
    """One letter. Who looks at it is told to the log by name."""
    settings, letter_id = machine.settings, int(request.path_params["letter"])
    if letter_id >= 2**63:
        raise NotStored(f"There is no letter {letter_id}.")
    seconds = settings.read_timeout_seconds
    purpose = Purpose("chef-ingest look", statement=seconds, silence=seconds + 2, read_only=True)
    who = request.state.operator.name
    with repository_at(settings.database_url, who=who, purpose=purpose) as repository:
        letter = queries.letter(repository, letter_id)
        history = queries.history(repository, letter_id)
    structlog.get_logger("ingest.console").info("letter_looked_at", who=who, letter=letter_id)
    with reading(settings) as reader:
        beside = lookup.neighbours(reader, letter_id, letter.fingerprint)
    now = _forecast(settings, letter)
    pairs = queries.pairs(letter.details)
    facts = {
        "letter": letter,
        "why": pairs,
        "now": now,
        "beside": beside,
        "history": history,
        "envelope": [(name, getattr(letter, name)) for name in _ENVELOPE if getattr(letter, name) is not None],
        "body": marked(_body(settings, letter), {name for name, _ in pairs} | set(now.details)),
    }
    return Shown("letter.html", facts)


def _forecast(settings: Settings, letter: Letter) -> Forecast:
    """What would become of it now; as far as the judge can tell, where this role may not try it in the database."""
    dry_run = DryRun(settings, version("chef-ingest"))
    try:
        return dry_run([letter])[0]
    except Misconfigured:
        judged = Judge.from_settings(settings)(letter.message())
        if not isinstance(judged, Candidate):
            return forecast(judged)
        return Forecast(None, "it would pass the judge; what the database says of it this role may not try")
    finally:
        dry_run.close()


def _body(settings: Settings, letter: Letter) -> str:
    """The body for people, without what would not be stored of it."""
    message = letter.message()
    text = queries.pretty(message.payload, message.content_encoding)
    redaction = Redaction.from_settings(settings)
    try:
        return text if redaction is None else redaction.deeply(text) or ""
    except ValueError:
        # No JSON to its end; what is no JSON is never stored, and has no members.
        return text
