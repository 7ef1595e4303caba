"""The start of a chef-client run, as Reporting clients tell it [protocol.md 3.1]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.extra import pack
from schemas.kind import Document, Kind
from schemas.meaning import Fault, time_fault, uuid_fault, zoned_time
from schemas.message import RUN_START, Message
from schemas.rows import RunStartRow
from schemas.run_url import url_faults

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
    schemas={"documented": "run_start.json", "wire": "run_start.json"},
    faults=faults,
    row=row,
)
