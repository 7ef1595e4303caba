"""Which letters an address or a form of the console is about, and the fields that say so again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from consumers.dead_letters.selector import Selector
from ingest.console.views.asked import Question
from schemas.doors import WORDS
from schemas.kinds import KINDS
from schemas.labels import LETTER_STATES, STAGES

_TEXTS: Final = {
    "reasons": "reason", "organizations": "organization", "nodes": "node", "fingerprints": "fingerprint",
    "entities": "entity", "requestors": "requestor", "senders": "sender",
}  # fmt: skip
_CHOICES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "states": ("state", LETTER_STATES),
    "stages": ("stage", STAGES),
    "doors": ("door", WORDS),
    "kinds": ("kind", tuple(KINDS)),
}
_NUMBERS: Final = {"ids": "id", "replays": "replay"}
_TIMES: Final = ("since", "until")
_FIELDS: Final = {**_TEXTS, **{many: one for many, (one, _) in _CHOICES.items()}, **_NUMBERS}

CHOICES: Final = {many: words for many, (_, words) in _CHOICES.items()}
"""Member of a selector -> all that it can be, where that is known."""


def selected(wanted: Question) -> Selector:
    """The letters that are asked for. Raises TurnedAway (400)."""
    given: dict[str, Any] = {many: (value,) for many, one in _TEXTS.items() if (value := wanted.text(one))}
    given |= {many: (value,) for many, (one, all_) in _CHOICES.items() if (value := wanted.choice(one, all_))}
    given |= {many: wanted.numbers(one) for many, one in _NUMBERS.items()}
    given |= {name: wanted.time(name) for name in _TIMES} | {"text": wanted.text("text")}
    return Selector(**given)


def fields(selector: Selector) -> dict[str, str]:
    """Name -> value of what asks for just these letters, however late: a time ago has become a time."""
    found = {_FIELDS.get(name, name): value for name, value in selector.asked().items()}
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
