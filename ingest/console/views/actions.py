"""Actions: who changed what, and one with its data."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from ingest.console.pages import Shown
from ingest.console.views.asked import asked
from ingest.console.views.machine import Machine
from ingest.lookup import actions
from ingest.lookup.actions import ActionsWanted
from ingest.lookup.database import reading

_FILTERS = ("organization", "entity", "type", "task", "requestor", "run_id")
_FACTS = (
    "organization_name", "task", "entity_type", "entity_name", "parent_type", "parent_name", "requestor_type",
    "requestor_name", "remote_hostname", "service_hostname", "user_agent", "request_id", "remote_request_id",
    "message_version", "id",
)  # fmt: skip


def show(machine: Machine, request: Request) -> Shown:
    """The feed, newest first."""
    wanted = asked(request)
    since, until = wanted.window()
    filters: dict[str, Any] = {name: wanted.text(name) for name in _FILTERS}
    with reading(machine.settings) as reader:
        page = actions.listed(reader, ActionsWanted(since=since, until=until, after=wanted.place(), **filters))
    return Shown(
        "actions.html", {"asked": wanted, "rows": page.rows, "next": wanted.next(page.last), "filters": _FILTERS}
    )


def show_one(machine: Machine, request: Request) -> Shown:
    """One action."""
    with reading(machine.settings) as reader:
        action = actions.action(reader, request.path_params["id"])
    facts = [(name.replace("_", " "), action[name]) for name in _FACTS if action[name] is not None]
    return Shown("action.html", {"row": action, "named": facts, "data": _indented(action["data"])})


def _indented(data: str | None) -> str:
    try:
        return json.dumps(json.loads(data or ""), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return data or ""
