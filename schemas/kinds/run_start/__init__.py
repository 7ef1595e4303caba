"""The start of a chef-client run, as Reporting clients tell it [protocol.md 3.1]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.kinds.extra import pack
from schemas.kinds.formats import Fault, time_fault, uuid_fault, zoned_time
from schemas.kinds.kind import Document, Kind
from schemas.kinds.report import url_faults
from schemas.kinds.rows import RunStartRow
from schemas.message import RUN_START, Message

NAMED: Final = frozenset({"action", "run_id", "start_time"})


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    found = url_faults(message)
    for member, fault in (
        ("run_id", uuid_fault(values["run_id"]) if "run_id" in values else None),
        ("start_time", time_fault(values.get("start_time"), zoned_time)),
    ):
        if fault is not None:
            found[member] = fault
    return found


def row(message: Message, document: Document) -> RunStartRow:
    sent = document.values
    stored = {"run_id": sent["run_id"].lower(), "start_time": zoned_time(sent["start_time"]) or ""}
    respelled = {name for name, value in stored.items() if value != sent[name]}
    return RunStartRow(
        run_id=stored["run_id"],
        organization=message.organization or "",
        node_name=message.node or "",
        start_time=stored["start_time"],
        extra=pack(document.members, NAMED, respelled),
    )


KIND: Final = Kind(
    name=RUN_START,
    schemas={"documented": "documented.json", "wire": "documented.json"},
    faults=faults,
    row=row,
)
