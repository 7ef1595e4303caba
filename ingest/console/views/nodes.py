"""Nodes: when each was last heard of, and how its newest runs went."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request

from ingest.console.pages import Shown
from ingest.console.views.asked import asked
from ingest.console.views.machine import Machine
from ingest.lookup import nodes
from ingest.lookup.database import reading
from ingest.lookup.nodes import NodesWanted
from ingest.lookup.runs import aborted_before
from schemas.labels import RUN_STATUSES


def show(machine: Machine, request: Request) -> Shown:
    """A list, the one last heard of first."""
    wanted = asked(request)
    aborted = aborted_before(machine.settings, wanted.now)
    asked_for = NodesWanted(
        organization=wanted.text("organization"),
        node=wanted.text("node"),
        status=wanted.choice("status", RUN_STATUSES),
        missing=wanted.time("missing"),
        after=wanted.place(),
    )
    with reading(machine.settings) as reader:
        page = nodes.listed(reader, asked_for, aborted)
        strips = nodes.strips(reader, page.rows, aborted)
    limit = machine.settings.node_missing_seconds
    since = wanted.now - timedelta(seconds=limit)
    rows = [
        {
            **each,
            "strip": strips.get((each["organization"], each["name"]), ()),
            "missing": each["seen"] is not None and each["seen"] < since,
        }
        for each in page.rows
    ]
    facts = {"asked": wanted, "rows": rows, "next": wanted.next(page.last), "statuses": RUN_STATUSES}
    return Shown("nodes.html", facts | {"limit": f"{limit}s"})
