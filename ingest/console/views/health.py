"""Health: what the doctor finds, the ledger by hour, partitions, settings."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from consumers.database.partitions import Partitions
from consumers.errors import Misconfigured, StoreUnavailable
from ingest.console.pages import Shown
from ingest.console.views.machine import Machine
from ingest.diagnostics.doctor import examine


def show(machine: Machine, _request: Request) -> Shown:
    """Everything that `doctor`, `audit`, `partitions list` and `config` print; without a database, what is known."""
    partitions: list[dict[str, Any]] = []
    unseen = ""
    try:
        partitions = Partitions(machine.settings.database_url).listed()
    except (StoreUnavailable, Misconfigured) as error:
        unseen = str(error)
    facts = {"ledger": machine.ledger(), "partitions": partitions, "unseen": unseen, "settings": machine.described}
    # The console's role need not do what a worker's must: to grant it that would be the wrong remedy.
    return Shown("health.html", facts | {"findings": examine(machine.settings, None, machine.spool, works=False)})
