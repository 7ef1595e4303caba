"""Health: what the doctor finds, the ledger by hour, partitions, settings."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from consumers.database.partitions import Partitions
from consumers.errors import Misconfigured, StoreUnavailable
from ingest.console.pages import Shown
from ingest.console.views.machine import Machine
from ingest.diagnostics.doctor import examine

_VERSIONS: Final = ("program version", "python", "database version", "broker version")
"""Findings that name one."""


def show(machine: Machine, _request: Request) -> Shown:
    """Everything that `doctor`, `audit`, `partitions list` and `config` print; without a database, what is known."""
    partitions: list[dict[str, Any]] = []
    unseen = ""
    try:
        partitions = Partitions(machine.settings.database_url).listed()
    except (StoreUnavailable, Misconfigured) as error:
        unseen = str(error)
    # The console's role need not do what a worker's must: to grant it that would be the wrong remedy.
    findings = examine(machine.settings, None, machine.spool, works=False)
    versions = [(each.check.removesuffix(" version"), each.finding) for each in findings if each.check in _VERSIONS]
    facts = {"ledger": machine.ledger(), "partitions": partitions, "unseen": unseen, "settings": machine.described}
    return Shown("health.html", facts | {"findings": findings, "versions": versions})
