"""Pages by keyset: one begins after a row, which a cursor names, so that what comes meanwhile moves nothing. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

_FORM: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_OFFSETS: Final = frozenset({"start", "page", "cursor"})
"""Fields of a query that say where a page begins."""


class Place(NamedTuple):
    """A row in the order of a list, newest first: its time (UTC, microseconds), and its id, of rows of one time."""

    time: str
    id: str


def beginning(after: Place | None) -> dict[str, str | None]:
    """What a statement of a list is told of where its page begins; None: at the newest."""
    return {"place_time": after and after.time, "place_id": after and after.id}


class Page(NamedTuple):
    """Rows, and the place of the last one where more follow."""

    rows: Sequence[Mapping[str, Any]]
    last: Place | None


def cut(rows: Sequence[Mapping[str, Any]], most: int, *, more: bool = False) -> Page:
    """The page of rows that were asked for with one beyond it; each has its place in `place_time` and `place_id`.

    `more`: the rest was not fetched.
    """
    shown = rows[:most]
    if not shown or not (more or len(rows) > most):
        return Page(shown, None)
    return Page(shown, Place(shown[-1]["place_time"], shown[-1]["place_id"]))


def to_cursor(place: Place) -> str:
    """Text that stands for a place in a URL."""
    return base64.urlsafe_b64encode(" ".join(place).encode()).decode()


def from_cursor(cursor: str) -> Place:
    """The inverse. Raises ValueError for what is no cursor of ours."""
    try:
        found = _FORM.fullmatch(base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii"))
    except (UnicodeError, binascii.Error):
        found = None
    if found is None:
        raise ValueError("no cursor of ours")
    return Place(*found.groups())


def link(path: str, query: Mapping[str, str], last: Place | None) -> tuple[tuple[bytes, bytes], ...]:
    """The header field that names the next page (RFC 8288), by the path as it was sent; none behind the last page."""
    if last is None:
        return ()
    kept = {name: value for name, value in query.items() if name not in _OFFSETS}
    target = quote(path, safe="/%:@!$&'()*+,;=~") + "?" + urlencode(kept | {"cursor": to_cursor(last)})
    return ((b"link", f'<{target}>; rel="next"'.encode()),)
