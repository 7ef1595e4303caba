"""A letter is edited: the judge says of what is typed what would become of it; what was seen to differ is saved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from consumers.dead_letters import edit, queries
from consumers.dead_letters.dry_run import foreseeing
from consumers.dead_letters.errors import NoSuchLetter, NotAsSeen, NotEditable
from consumers.dead_letters.repository import Letter, Repository, repository_at
from consumers.dead_letters.selector import OPEN, PARKED
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.marked import diff
from ingest.console.pages import Shown
from ingest.console.views.asked import ordered
from ingest.console.views.letters.text import difference, restored, typable
from ingest.console.views.machine import PURPOSE, Machine

BODY: Final = "body"


class Typing(NamedTuple):
    """What somebody has typed of a letter: its text as shown before and now, what is to be sent (None: as it is), the
    facts of the envelope that are others, and what would become of it."""

    letter: Letter
    seen: str
    text: str
    payload: bytes | None
    envelope: Mapping[str, str]
    correction: edit.Correction


def show(machine: Machine, request: Request) -> Shown:
    """The form. Who looks at the letter is told to the log by name."""
    require_operate(request.state.operator)
    with _reading(machine) as repository:
        letter = _letter(repository, str(request.path_params["letter"]))
    whole, seen = typable(machine.settings, letter)
    structlog.get_logger("ingest.console").info("letter_looked_at", who=request.state.operator.name, letter=letter.id)
    facts = {"letter": letter, "text": seen, "hides": whole != seen, "checked": None, "sent": {}}
    return Shown("edit.html", facts | _form(machine, letter))


def check(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> Shown:
    """What would become of what was typed, what of it differs, and the form that saves it; nothing is saved."""
    require_operate(operator)
    with _reading(machine) as repository:
        typed = _typed(machine, repository, sent)
    before = _sent_now(typed.letter)
    changed = _others(before, typed.envelope)
    delta = [] if typed.payload is None else diff(difference(typed.seen, typed.text))
    facts = {"letter": typed.letter, "text": typed.text, "hides": False, "checked": typed.correction, "sent": sent}
    return Shown("edit.html", _form(machine, typed.letter) | facts | {"delta": delta, "changed": changed})


def judge(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> Response:
    """The same in a word, for a page that asks while somebody types."""
    try:
        require_operate(operator)
        with _reading(machine) as repository:
            now = _typed(machine, repository, sent).correction.now
    except (TurnedAway, NotEditable, NotAsSeen, NoSuchLetter) as refused:
        return JSONResponse({"passes": False, "text": str(refused)})
    if now is None:
        return JSONResponse({"passes": None, "text": "not changed"})
    return JSONResponse({"passes": now.passes, "text": now.text})


def save(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Send it from now on; the letter's page. Raises TurnedAway, NotEditable, NotAsSeen or NoSuchLetter."""
    require_operate(operator)
    why, url = ordered(sent).why(), machine.settings.database_url
    with repository_at(url, who=operator.name, why=why, purpose=PURPOSE) as repository:
        typed = _typed(machine, repository, sent)
        edited, now = typed.correction
        if now is None:
            raise TurnedAway(409, "nothing of it is changed: nothing was done")
        if not typed.correction.good and not sent.get("anyway"):
            raise TurnedAway(409, f"{now.text}: tick “anyway” to save it all the same; nothing was done")
        _require(edit.save(repository, typed.letter, edited, None), typed.letter)
    return f"/letters/{typed.letter.id}"


def revert(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Send what was received, from now on; the letter's page."""
    require_operate(operator)
    why, url = ordered(sent).why(), machine.settings.database_url
    with repository_at(url, who=operator.name, why=why, purpose=PURPOSE) as repository:
        letter = _letter(repository, sent.get("letter", ""))
        _require_base(letter, sent)
        _require(edit.revert(repository, letter), letter)
    return f"/letters/{letter.id}"


def _reading(machine: Machine) -> Any:
    return repository_at(machine.settings.database_url, who="", purpose=PURPOSE)


def _letter(repository: Repository, number: str) -> Letter:
    """Raises TurnedAway, NoSuchLetter, or NotEditable for one that is settled or under way."""
    if not (number.isascii() and number.isdecimal()) or int(number[:20]) >= 2**63:
        raise TurnedAway(400, "that is no number of a letter")
    letter = queries.letter(repository, int(number))
    _require(letter.state in (OPEN, PARKED), letter)
    return letter


def _require(editable: bool, letter: Letter) -> None:
    if not editable:
        raise NotEditable(f"letter {letter.id} is {letter.state}: only open and parked ones can be edited")


def _require_base(letter: Letter, sent: Mapping[str, str]) -> None:
    if sent.get("base") != base_of(letter):
        raise NotAsSeen(f"somebody else has edited letter {letter.id} since you opened it; look again")


def base_of(letter: Letter) -> str:
    """What tells the letter as it is from how it was before or after an edit."""
    envelope = sorted((letter.edited_envelope or {}).items())
    return hashlib.sha256(repr((letter.id, letter.edited_payload, envelope)).encode()).hexdigest()[:32]


def _typed(machine: Machine, repository: Repository, sent: Mapping[str, str]) -> Typing:
    letter = _letter(repository, sent.get("letter", ""))
    _require_base(letter, sent)
    whole, seen = typable(machine.settings, letter)
    text = sent.get(BODY, "").replace("\r\n", "\n")
    payload = None if text.strip() == seen.strip() else restored(whole, seen, text).encode()
    now = _sent_now(letter)
    envelope = {name: sent[name].strip() for name in now if name in sent and sent[name].strip() != now[name]}
    try:
        edit.check_envelope(envelope)
    except ValueError as error:
        raise TurnedAway(400, f"{error}; nothing was done") from None
    with foreseeing(machine.settings, version("chef-ingest")) as dry_run:
        correction = edit.consider(dry_run, letter, payload, envelope)
    return Typing(letter, seen, text, payload, envelope, correction)


def _sent_now(letter: Letter) -> dict[str, str]:
    """The facts of the envelope that can be corrected, as a replay sends them now."""
    message = letter.message()
    return {name: getattr(message, name) or "" for name in edit.ENVELOPE}


def _others(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(name, before, after) of those facts that differ."""
    return [(name, before[name], value) for name, value in after.items() if value != before[name]]


def _form(machine: Machine, letter: Letter) -> dict[str, Any]:
    now = _sent_now(letter)
    facts = {"now": now, "facts_": edit.ENVELOPE, "base": base_of(letter), "undone": [], "undone_facts": []}
    if not letter.edited:
        return facts
    before = edit.received(letter)
    return facts | {"undone": _undone(machine, letter, before), "undone_facts": _others(now, _sent_now(before))}


def _undone(machine: Machine, letter: Letter, before: Letter) -> list[tuple[str, str]]:
    """What a revert changes of the body, line by line, or why that can't be shown."""
    try:
        return diff(difference(typable(machine.settings, letter)[1], typable(machine.settings, before)[1], "received"))
    except NotEditable as error:
        return [("place", f"what was received can't be shown here: {error}")]
