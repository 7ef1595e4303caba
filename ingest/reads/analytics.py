"""Rows of actions in Chef Analytics' form: its nested members beside the flat ones that were sent. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from schemas.kinds.action import COLUMNS, ActionRow, document
from schemas.kinds.extra import to_object, unpack

CSV: Final = b"text/csv; charset=utf-8"
NDJSON: Final = b"application/x-ndjson"

_LISTED: Final = tuple(name for name in COLUMNS if name != "data")
"""What lists have of an action: all but what is large."""
_COLLECTIONS: Final[Mapping[str, str]] = {
    "client": "clients", "node": "nodes", "role": "roles", "environment": "environments", "group": "groups",
    "bag": "data", "cookbook": "cookbooks", "policy": "policies", "policy_group": "policy_groups",
}  # fmt: skip
"""Type -> where a Chef server has things of it, below their organization."""
_PARTS: Final[Mapping[str, str]] = {"item": "data", "version": "cookbooks"}
"""The same of what is a part of something else."""


def action(row: ActionRow) -> str:
    """One action as JSON text. A member of the sender's that has one of our names stays the sender's."""
    sent = unpack(row.extra)
    nested = {name: json.dumps(value) for name, value in _nested(row).items() if name not in sent}
    return document(row)[:-1] + "," + to_object(nested)[1:]


def listed(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Actions as a JSON array, each as `action` but without what is large."""
    return ("[" + ",".join(action(_row(each)) for each in rows) + "]").encode()


def exported(rows: Sequence[Mapping[str, Any]], format: str) -> bytes:
    """Actions as columns and nothing else: `json`, `ndjson` or `csv`."""
    if format == "csv":
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(_LISTED)
        writer.writerows([each[name] for name in _LISTED] for each in rows)
        return table.getvalue().encode()
    lines = [json.dumps({name: each[name] for name in _LISTED}, ensure_ascii=False) for each in rows]
    text = "".join(f"{line}\n" for line in lines) if format == "ndjson" else f"[{','.join(lines)}]\n"
    return text.encode()


def _row(found: Mapping[str, Any]) -> ActionRow:
    return ActionRow._make(found.get(name) for name in ActionRow._fields)


def _nested(row: ActionRow) -> dict[str, Any]:
    nested: dict[str, Any] = {
        "type": "action",
        "tags": [],
        "endpoint": f"/actions/{row.id}",
        "requestable": {
            "name": row.requestor_name,
            "type": row.requestor_type,
            "endpoint": _endpoint(row, row.requestor_type, row.requestor_name),
            "properties": {},
        },
        "entity": _entity(row),
    }
    return nested if row.remote_request_id is not None else nested | {"remote_request_id": None}


def _entity(row: ActionRow) -> dict[str, Any]:
    parent = None
    if row.parent_type is not None and row.parent_name is not None:
        endpoint = _endpoint(row, row.parent_type, row.parent_name)
        parent = {"name": row.parent_name, "type": row.parent_type, "endpoint": endpoint}
    endpoint = _endpoint(row, row.entity_type, row.entity_name)
    return {
        "name": row.entity_name,
        "type": row.entity_type,
        "endpoint": endpoint,
        # Chef Manage had a page for each thing; there is none here.
        "manage": None,
        "parent": parent,
    }


def _endpoint(row: ActionRow, type: str, name: str) -> str | None:
    """Where a Chef server has it; None for what has no place of its own."""
    if type == "user":
        return f"/users/{_part(name)}"
    if type == "organization":
        return f"/organizations/{_part(name)}"
    if row.organization_name is None:
        return None
    home = f"/organizations/{_part(row.organization_name)}"
    if type in _COLLECTIONS:
        return f"{home}/{_COLLECTIONS[type]}/{_part(name)}"
    if type in _PARTS and row.parent_name is not None:
        return f"{home}/{_PARTS[type]}/{_part(row.parent_name)}/{_part(name)}"
    return None


def _part(name: str) -> str:
    return quote(name, safe="")
