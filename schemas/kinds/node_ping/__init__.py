"""A node is alive, as its liveness agent tells a data collector [data-collector.md 1.7]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from schemas.kinds.collected import QUEUE, TELLS, body_faults, respelled
from schemas.kinds.columns import MERGED, OWNER, Extra, Text, Time, holds, stored_as
from schemas.kinds.extra import pack
from schemas.kinds.formats import Fault, zoned_time
from schemas.kinds.kind import Document, Kind, Table
from schemas.message import Message

LONGEST_NAME: Final = 255
"""Of an organization or a node that gets a row in `nodes`; Chef servers have none longer."""


class NodePingRow(NamedTuple):
    """What `nodes` learns: the latest ping of a node stays."""

    name: Annotated[Text, holds("node_name")]
    organization: Annotated[Text, OWNER, MERGED, holds("organization_name")]
    pinged_at: Annotated[Time, MERGED, holds("@timestamp")]
    extra: Annotated[Extra, MERGED, stored_as("ping_extra")] | None


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    names = ("organization_name", "node_name")
    found = body_faults(values, names=names, times=("@timestamp",))
    for member in names:
        if isinstance(value := values.get(member), str) and len(value) > LONGEST_NAME:
            found[member] = Fault("name_too_long", f"must be {LONGEST_NAME} characters at most")
    return found


def make(message: Message, document: Document) -> NodePingRow:
    sent = document.values
    pinged_at = zoned_time(sent["@timestamp"]) or ""
    return NodePingRow(
        name=sent["node_name"],
        organization=sent["organization_name"],
        pinged_at=pinged_at,
        extra=pack(document.members, sent, respelled(sent, {"@timestamp": pinged_at})),
    )


KIND: Final = Kind(
    name="node_ping",
    row=NodePingRow,
    make=make,
    faults=faults,
    schemas={"documented": "wire.json", "wire": "wire.json"},
    routing_key="collector.ping",
    queue=QUEUE,
    # After all that tells more of a node.
    rank=3,
    path="/organizations/{organization}/nodes/{name}",
    tables=(Table(name="nodes", rights="SELECT, INSERT, UPDATE"),),
    sign={"event_type": "node_ping"},
    answered_with_uri=False,
    tells=TELLS,
)
