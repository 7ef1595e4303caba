"""The door of single actions: `POST /messages`, for whoever speaks to Chef Analytics."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.http.routes import Route
from ingest.shim.doors.entry import Entry
from schemas.doors import MESSAGES


def routes(entry: Entry) -> Iterable[Route]:
    """A POST, answered as everywhere."""
    return entry.posts(MESSAGES)
