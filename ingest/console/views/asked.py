"""Understands what a page's address asks for; what makes no sense is said, and nothing is looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from consumers.dead_letters.selector import moment
from ingest.console.fence import TurnedAway
from ingest.http.query import parse
from ingest.reads.paging import Place, from_cursor, to_cursor

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_CURSOR: Final = "after"
LONGEST_REASON: Final = 1000
"""Characters of why something is changed."""
UNTYPED: Final = 100
"""So many are changed without typing how many they are."""


class Question:
    """The values of an address or a form by name, those that are blank left out: a form sends its empty fields too.

    Its methods raise TurnedAway (400) for what makes no sense.
    """

    def __init__(self, sent: Mapping[str, str], now: datetime) -> None:
        self.now = now
        self.values = {name: value.strip() for name, value in sent.items() if value.strip()}

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        sent = self.values.get(name)
        if sent is not None and sent not in choices:
            raise TurnedAway(400, f"{name} must be one of {', '.join(choices)}")
        return sent

    def number(self, name: str) -> int | None:
        sent = self.values.get(name)
        if sent is not None and not _NUMBER.fullmatch(sent):
            raise TurnedAway(400, f"{name} must be a whole number")
        return None if sent is None else int(sent)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Those in a row, by commas or spaces."""
        parts = self.values.get(name, "").replace(",", " ").split()
        if not all(_NUMBER.fullmatch(each) for each in parts):
            raise TurnedAway(400, f"{name} must be whole numbers")
        return tuple(map(int, parts))

    def seen(self) -> int:
        """How many there were when somebody decided: a form that changes much wants that typed."""
        counted = self.number("counted")
        if counted is None:
            raise TurnedAway(400, "how many are meant was not said: nothing was done")
        if counted > UNTYPED and self.values.get("typed") != str(counted):
            raise TurnedAway(400, f"type {counted} where it is asked for, if you mean them all: nothing was done")
        return counted

    def why(self) -> str | None:
        """The reason, for the history."""
        text = self.values.get("why")
        if text is not None and len(text) > LONGEST_REASON:
            raise TurnedAway(400, f"a reason has no more than {LONGEST_REASON} characters: nothing was done")
        return text

    def time(self, name: str, default: datetime | None = None) -> datetime | None:
        """A time, or how long ago: 2h, 3d."""
        try:
            return moment(self.values[name], self.now) if name in self.values else default
        except ValueError as error:
            raise TurnedAway(400, f"{name}: {error}") from None

    def window(self, days: int = 1) -> tuple[datetime, datetime]:
        """From `since` to `until`; the last day or days, unless they say another one. A node's clock may be ahead."""
        since = self.time("since") or self.now - timedelta(days=days)
        until = self.time("until") or self.now + timedelta(hours=1)
        if since >= until:
            raise TurnedAway(400, "since must be before until")
        return since, until

    def place(self) -> Place | None:
        """Where the page begins."""
        try:
            return from_cursor(self.values[_CURSOR]) if _CURSOR in self.values else None
        except ValueError:
            raise TurnedAway(400, f"{_CURSOR} is no place in a list; begin at its first page") from None

    def next(self, last: Place | int | None) -> str:
        """The address of the page after this one; empty after the last."""
        if last is None:
            return ""
        return self.address(**{_CURSOR: to_cursor(last) if isinstance(last, Place) else str(last)})

    def address(self, **changed: str) -> str:
        """This page's address with other values."""
        kept = {name: value for name, value in self.values.items() if name != _CURSOR}
        return "?" + urlencode(kept | changed)


def asked(request: Request) -> Question:
    """What a request's address asks for, now."""
    try:
        return Question(parse(request.scope["query_string"]), datetime.now(UTC))
    except ValueError as error:
        raise TurnedAway(400, f"The address can't be understood: {error}") from None


def ordered(sent: Mapping[str, str]) -> Question:
    """What a form asks for, now."""
    return Question(sent, datetime.now(UTC))
