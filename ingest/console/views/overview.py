"""Overview: what is wrong, first; then the way of messages, and how much there is of everything."""

from __future__ import annotations

from starlette.requests import Request

from ingest.console.live import numbers
from ingest.console.pages import Shown
from ingest.console.views.flow import HEIGHT, WIDTH, flow
from ingest.console.views.machine import Machine


def show(machine: Machine, _request: Request) -> Shown:
    """The first page."""
    found = machine.look()
    facts = {"found": found, "live": numbers(found), "flow": flow(found), "ledger": machine.ledger()}
    return Shown("overview.html", facts | {"box_width": WIDTH, "box_height": HEIGHT})
