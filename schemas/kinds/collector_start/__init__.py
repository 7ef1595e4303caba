"""The start of a chef-client run, as clients tell a data collector [data-collector.md 1.2]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from schemas.kinds.collected import RUN_TELLS, loose_time, respelled, run_faults, run_id
from schemas.kinds.columns import KEPT, OWNER, Extra, Text, Time, Uuid, holds, stored_as
from schemas.kinds.extra import pack
from schemas.kinds.formats import Fault
from schemas.kinds.kind import Document, Kind, Table
from schemas.kinds.report import PATH, QUEUE
from schemas.message import Message


class CollectorStartRow(NamedTuple):
    """The start of a chef-client run: what `runs` knows of it by the data collector. The first one stays."""

    run_id: Uuid
    organization: Annotated[Text, OWNER, holds("organization_name")]
    node_name: Text
    start_time: Annotated[Time, KEPT] | None
    entity_uuid: Annotated[Text, KEPT] | None
    source: Annotated[Text, KEPT] | None
    chef_server_fqdn: Annotated[Text, KEPT] | None
    extra: Annotated[Extra, KEPT, stored_as("collector_start_extra")] | None


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    return run_faults(values)


def make(message: Message, document: Document) -> CollectorStartRow:
    sent = document.values
    stored = {"run_id": run_id(sent), "start_time": loose_time(sent.get("start_time"))}
    return CollectorStartRow(
        run_id=stored["run_id"] or "",
        organization=sent["organization_name"],
        node_name=sent["node_name"],
        start_time=stored["start_time"],
        entity_uuid=sent.get("entity_uuid"),
        source=sent.get("source"),
        chef_server_fqdn=sent.get("chef_server_fqdn"),
        extra=pack(document.members, sent, respelled(sent, stored) | {"id"}),
    )


KIND: Final = Kind(
    name="collector_start",
    row=CollectorStartRow,
    make=make,
    faults=faults,
    schemas={"documented": "wire.json", "wire": "wire.json"},
    # Small, and somebody waits for it: not behind the ends.
    routing_key="run.collector_start",
    queue=QUEUE,
    rank=0,
    path=PATH,
    tables=(
        Table(name="runs", rights="SELECT, INSERT, UPDATE", month="start_time", counted="stored_at"),
        Table(name="nodes", rights="SELECT, INSERT, UPDATE"),
    ),
    sign={"message_type": "run_start"},
    tells=RUN_TELLS,
)
