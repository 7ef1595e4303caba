"""Overview: what is wrong, first; then how much there is of everything."""

from __future__ import annotations

from starlette.requests import Request

from ingest.console.live import numbers
from ingest.console.pages import Shown
from ingest.console.views.machine import Machine


def show(machine: Machine, _request: Request) -> Shown:
    """The first page."""
    found = machine.look()
    return Shown("overview.html", {"found": found, "live": numbers(found)})
