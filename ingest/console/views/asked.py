"""Understands what a page's address asks for; what makes no sense is said, and nothing is looked up."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


class Question:
    """The values of an address by name, those that are blank left out: a form sends its empty fields too.

    Its methods raise TurnedAway (400) for what makes no sense.
    """

    def __init__(self, request: Request, now: datetime) -> None:
        self.now = now
        try:
            sent = parse(request.scope["query_string"])
        except ValueError as error:
            raise TurnedAway(400, f"The address can't be understood: {error}") from None
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
    """What a request asks for, now."""
    return Question(request, datetime.now(UTC))
