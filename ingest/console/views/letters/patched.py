"""Many letters are edited alike: by a JSON Patch, and facts of the envelope; first it is seen what would come of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request

from consumers.dead_letters import edit, queries
from consumers.dead_letters.dry_run import foreseeing
from consumers.dead_letters.errors import NotAsSeen, NotEditable
from consumers.dead_letters.repository import Letter, Repository, repository_at
from consumers.dead_letters.selector import OPEN, PARKED, Selector
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import UNTYPED, Question, asked, ordered
from ingest.console.views.letters.chosen import fields, selected
from ingest.console.views.letters.edited import base_of
from ingest.console.views.machine import CHANGING, Machine

MOST: Final = 500
"""Letters that a page edits at once: each is judged alone."""
EXAMPLES: Final = 10
_SET: Final = "set_"


class Patched(NamedTuple):
    """What comes of a letter, in words; `correction` None: it can't be patched."""

    letter: Letter
    correction: edit.Correction | None
    now: str

    def saved(self, *, anyway: bool) -> bool:
        """Whether it is to be."""
        found = self.correction
        return found is not None and found.now is not None and (found.good or anyway)


def show(_machine: Machine, request: Request) -> Shown:
    """The form."""
    require_operate(request.state.operator)
    return Shown("patch.html", _form(selected(asked(request)), {}) | {"rows": None})


def check(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> Shown:
    """What would become of each letter, and the form that saves those; nothing is saved."""
    require_operate(operator)
    wanted = ordered(sent)
    selector, wish = selected(wanted), _wish(wanted)
    counts: Counter[str] = Counter()
    rows: list[tuple[int, str]] = []
    good, changed, seen = 0, 0, _Seen()
    with repository_at(machine.settings.database_url, who="", purpose=CHANGING) as repository:
        for row in _patched(machine, repository, selector, wish):
            seen.add(row.letter)
            counts[row.now.partition(":")[0]] += 1
            good += row.saved(anyway=False)
            changed += row.saved(anyway=True)
            if len(rows) < EXAMPLES:
                rows.append((row.letter.id, row.now))
    facts = {"rows": rows, "counts": counts.most_common(EXAMPLES), "counted": seen.letters, "good": good}
    return Shown(
        "patch.html", _form(selector, sent) | facts | {"changed": changed, "base": seen.base, "untyped": UNTYPED}
    )


def save(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Save those that would be stored, `anyway` the others too: as they were seen, or none; the page of them."""
    require_operate(operator)
    wanted = ordered(sent)
    selector, wish, counted, why = selected(wanted), _wish(wanted), wanted.seen(), wanted.why()
    anyway, seen, url = bool(wanted.text("anyway")), _Seen(), machine.settings.database_url
    with (
        repository_at(url, who=operator.name, why=why, purpose=CHANGING) as repository,
        repository.connection.transaction(),
    ):
        for row in _patched(machine, repository, selector, wish):
            seen.add(row.letter)
            if row.correction is None or not row.saved(anyway=anyway):
                continue
            if not edit.save(repository, row.letter, row.correction.letter, wish.operations):
                raise NotAsSeen(f"letter {row.letter.id} has been settled meanwhile; look again")
        if seen.letters != counted or seen.base != sent.get("base"):
            raise NotAsSeen("these are other letters than you saw, or somebody has edited some meanwhile; look again")
    return f"/letters?{urlencode(fields(selector))}"


class _Wish(NamedTuple):
    """The patch, None for none, and the facts of the envelope."""

    operations: list[dict[str, Any]] | None
    envelope: Mapping[str, str]


class _Seen:
    """Letters that were looked at, and what tells them, as they are, from others: `base`."""

    def __init__(self) -> None:
        self.letters = 0
        self._digest = hashlib.sha256()

    def add(self, letter: Letter) -> None:
        self.letters += 1
        self._digest.update(base_of(letter).encode())

    @property
    def base(self) -> str:
        return self._digest.hexdigest()[:32]


def _wish(wanted: Question) -> _Wish:
    """Raises TurnedAway (400)."""
    facts = {name: text for name in edit.ENVELOPE if (text := wanted.text(_SET + name))}
    try:
        edit.check_envelope(facts)
        operations = edit.operations(patch) if (patch := wanted.text("patch")) else None
    except ValueError as error:
        raise TurnedAway(400, f"{error}; nothing was done") from None
    if operations is None and not facts:
        raise TurnedAway(400, "give a patch, or a fact of the envelope: nothing was done")
    return _Wish(operations, facts)


def _patched(machine: Machine, repository: Repository, selector: Selector, wish: _Wish) -> Iterator[Patched]:
    """A few at a time: payloads can be large."""
    chosen = selector.within(OPEN, PARKED)
    if queries.count(repository, chosen) > MOST:
        raise TurnedAway(413, f"a page edits {MOST} letters at once: ask for fewer, or use `chef-ingest dead edit`")
    where, values = chosen.where()
    with foreseeing(machine.settings, version("chef-ingest")) as dry_run:
        for letter in repository.letters("letters", where, limit=MOST, **values):
            try:
                payload = None if wish.operations is None else edit.patched(letter, wish.operations)
            except NotEditable as error:
                yield Patched(letter, None, str(error).partition(": ")[2])
                continue
            found = edit.consider(dry_run, letter, payload, wish.envelope)
            yield Patched(letter, found, "not changed" if found.now is None else found.now.text)


def _form(selector: Selector, sent: Mapping[str, str]) -> dict[str, Any]:
    chosen = fields(selector)
    facts = {name: (known, sent.get(_SET + name, "")) for name, known in edit.ENVELOPE.items()}
    words = selector.in_words() or "every open or parked letter"
    return {"chosen": chosen, "facts_": facts, "patch": sent.get("patch", ""), "words": words, "set": _SET}
