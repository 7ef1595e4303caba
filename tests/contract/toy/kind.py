"""A remark: what somebody wants to have written down of a node. No kind of ours: a test adds it to a copy of us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from schemas.kinds.columns import OWNER, Extra, Integer, Json, Text, Time, Uuid
from schemas.kinds.extra import pack, raw_text
from schemas.kinds.formats import Fault, name_fault, time_fault, uuid_fault, zoned_time
from schemas.kinds.kind import Document, Kind, Table
from schemas.message import Message


class RemarkRow(NamedTuple):
    """A row of `remarks`."""

    id: Uuid
    written_at: Time
    author: Annotated[Text, OWNER]
    node_name: Text
    text: Text
    weight: Integer | None
    data: Json | None
    extra: Extra | None


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    checks = {
        "id": uuid_fault(values.get("id")),
        "written_at": time_fault(values.get("written_at"), zoned_time),
        "node_name": name_fault(values.get("node_name"), "node"),
    }
    return {field: fault for field, fault in checks.items() if fault is not None}


def make(message: Message, document: Document) -> RemarkRow:
    sent = document.values
    stored = {"id": sent["id"].lower(), "written_at": zoned_time(sent["written_at"]) or ""}
    respelled = {name for name, value in stored.items() if value != sent[name]}
    return RemarkRow(
        id=stored["id"],
        written_at=stored["written_at"],
        author=sent["author"],
        node_name=sent["node_name"],
        text=sent["text"],
        weight=sent.get("weight"),
        data=raw_text(document.members, "data"),
        extra=pack(document.members, sent, respelled),
    )


KIND: Final = Kind(
    name="remark",
    row=RemarkRow,
    make=make,
    faults=faults,
    schemas={"documented": "documented.json", "wire": "documented.json"},
    routing_key="remark",
    queue="ingest.actions",
    rank=1,
    path="/remarks/{id}",
    tables=(Table(name="remarks", key="id", month="written_at", counted="stored_at"),),
    opaque=frozenset({"data"}),
    sign={"message_type": "remark"},
)
