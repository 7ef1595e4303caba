"""The start of a chef-client run, as Reporting clients tell it [protocol.md 3.1]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from schemas.kinds.columns import ENVELOPE, KEPT, Extra, Text, Time, Uuid, stored_as
from schemas.kinds.extra import pack
from schemas.kinds.formats import Fault, time_fault, uuid_fault, zoned_time
from schemas.kinds.kind import Document, Kind, Table
from schemas.kinds.report import PATH, QUEUE, url_faults
from schemas.message import Message


class RunStartRow(NamedTuple):
    """The start of a chef-client run: what `runs` knows before the end comes.

    The first start's time stays: chef-client repeats a start whose answer it did not get.
    """

    run_id: Uuid
    organization: Annotated[Text, ENVELOPE]
    node_name: Annotated[Text, ENVELOPE]
    start_time: Annotated[Time, KEPT]
    extra: Annotated[Extra, KEPT, stored_as("start_extra")] | None


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    found = url_faults(message)
    for member, fault in (
        ("run_id", uuid_fault(values["run_id"]) if "run_id" in values else None),
        ("start_time", time_fault(values.get("start_time"), zoned_time)),
    ):
        if fault is not None:
            found[member] = fault
    return found


def make(message: Message, document: Document) -> RunStartRow:
    sent = document.values
    stored = {"run_id": sent["run_id"].lower(), "start_time": zoned_time(sent["start_time"]) or ""}
    respelled = {name for name, value in stored.items() if value != sent[name]}
    return RunStartRow(
        run_id=stored["run_id"],
        organization=message.organization or "",
        node_name=message.node or "",
        start_time=stored["start_time"],
        extra=pack(document.members, sent, respelled),
    )


KIND: Final = Kind(
    name="run_start",
    row=RunStartRow,
    make=make,
    faults=faults,
    schemas={"documented": "documented.json", "wire": "documented.json"},
    routing_key="run.start",
    queue=QUEUE,
    rank=0,
    path=PATH,
    tables=(Table(name="runs", rights="SELECT, INSERT, UPDATE", month="start_time", counted="stored_at"),),
    sign={"action": "start"},
)
