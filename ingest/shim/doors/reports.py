"""The door of chef-clients' run reports: Chef's Reporting API, whose version a request names."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.http.requests import Request
from ingest.http.routes import Route
from ingest.shim.doors.entry import Entry
from schemas.doors import REPORTS
from schemas.settings import Settings


def routes(entry: Entry) -> Iterable[Route]:
    """A POST for a run's start and one for its end."""
    return entry.posts(REPORTS, admit=_check_protocol)


def _check_protocol(request: Request, settings: Settings) -> None:
    request.check_protocol(strict=settings.strict_protocol)
