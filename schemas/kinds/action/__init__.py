"""An action: something a user or client did to an object on a Chef server [protocol.md 1.6, 1.7]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID, uuid5

from schemas.kinds.columns import OWNER, Extra, Json, Text, Time, Uuid, columns
from schemas.kinds.extra import pack, raw_text, to_json, to_object, unpack
from schemas.kinds.formats import Fault, chef_time, hyphenated, is_canonical_uuid, name_fault, time_fault, uuid_fault
from schemas.kinds.kind import Document, Kind, Table
from schemas.message import Message


class ActionRow(NamedTuple):
    """A row of `actions`.

    `extra` is the JSON text of an object with the members that the columns don't hold as sent: those the schema
    does not name, and named ones whose stored form differs (an id in capitals); None when there are none.
    """

    id: Uuid
    recorded_at: Time
    organization_name: Annotated[Text, OWNER] | None
    entity_type: Text
    entity_name: Text
    parent_type: Text | None
    parent_name: Text | None
    task: Text
    requestor_type: Text
    requestor_name: Text
    remote_hostname: Text
    remote_request_id: Text | None
    request_id: Text
    service_hostname: Text
    user_agent: Text
    message_type: Text
    message_version: Text | None
    data: Json | None
    extra: Extra | None


COLUMNS: Final = tuple(each.field for each in columns(ActionRow) if each.member is not None)
"""The members that have a column, in the order of the row."""
_NAMESPACE: Final = UUID("9d6f0c1e-7f2b-5b6c-9c0a-3f1f6f2f4f10")
"""Of the ids given to messages of version 0.1.0, which have none: never to change."""

_NAMES: Final = (
    ("entity_name", "entity"),
    ("parent_name", "parent"),
    ("requestor_name", "requestor"),
    ("organization_name", "organization"),
)
_ORDER: Final = (
    "message_type",
    "message_version",
    "organization_name",
    "service_hostname",
    "recorded_at",
    "remote_hostname",
    "request_id",
    "requestor_name",
    "requestor_type",
    "user_agent",
    "id",
    "task",
    "entity_type",
    "entity_name",
    "parent_type",
    "parent_name",
    "remote_request_id",
    "data",
)
"""The order in which Chef servers write the members [protocol.md 1.6]."""
_WRITTEN: Final = (*_ORDER, *(name for name in COLUMNS if name not in _ORDER))


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for member, what in _NAMES:
        if fault := name_fault(values.get(member), what):
            found[member] = fault
    if "id" in values and (fault := uuid_fault(values["id"])):
        found["id"] = fault
    if fault := time_fault(values.get("recorded_at"), chef_time):
        found["recorded_at"] = fault
    return found


def wire_faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    """What others than Chef servers send is taken: no name of an organization or a parent, an id without hyphens."""
    found = faults(message, values)
    for member in ("organization_name", "parent_name"):
        if values.get(member) == "":
            del found[member]
    sent_id = values.get("id")
    if "id" in found and isinstance(sent_id, str) and not uuid_fault(hyphenated(sent_id)):
        del found["id"]
    return found


def make(message: Message, document: Document) -> ActionRow:
    values, members = document.values, document.members
    get = values.get
    sent_id, sent_time = get("id"), values["recorded_at"]
    # A body without id is its own identity: sent again it is the same action.
    stored_id = str(uuid5(_NAMESPACE, document.text)) if sent_id is None else hyphenated(sent_id)
    stored_time = chef_time(sent_time) or sent_time
    extra = None
    # The values are of named members only.
    if stored_id != sent_id or stored_time != sent_time or len(values) != len(members):
        sent, stored = (("id", sent_id), ("recorded_at", sent_time)), (stored_id, stored_time)
        respelled = {name for (name, value), other in zip(sent, stored, strict=True) if value != other}
        extra = pack(members, values, respelled)
    return ActionRow(
        stored_id,
        stored_time,
        values["organization_name"],
        values["entity_type"],
        values["entity_name"],
        get("parent_type"),
        get("parent_name"),
        values["task"],
        values["requestor_type"],
        values["requestor_name"],
        values["remote_hostname"],
        get("remote_request_id"),
        values["request_id"],
        values["service_hostname"],
        values["user_agent"],
        values["message_type"],
        get("message_version"),
        raw_text(members, "data"),
        extra,
    )


def fastpath(values: Sequence[Any]) -> ActionRow | None:
    """The row of values in the order of `COLUMNS` that fit the schema; None where anything is unusual."""
    stored_id, recorded_at, organization, _, entity_name, _, parent_name, _, _, requestor_name = values[:10]
    if stored_id is None or not is_canonical_uuid(stored_id) or chef_time(recorded_at) != recorded_at:
        return None
    if not entity_name.strip() or not requestor_name.strip():
        return None
    if (organization is not None and not organization.strip()) or (parent_name is not None and not parent_name.strip()):
        return None
    return ActionRow._make((*values, None))


def document(row: ActionRow) -> str:
    """The action as it was sent, as JSON text; one sent without an id shows the id it was given."""
    columns = row._asdict()
    extra = unpack(columns.pop("extra"))
    texts: dict[str, str] = {}
    for name in _WRITTEN:
        value = columns[name]
        if name in extra:
            texts[name] = extra[name]
        elif value is not None or name == "organization_name":
            texts[name] = value if name == "data" else to_json(value)
    return to_object(texts | extra)


KIND: Final = Kind(
    name="action",
    row=ActionRow,
    make=make,
    faults=faults,
    profile_faults={"wire": wire_faults},
    schemas={"documented": "documented.json", "wire": "wire.json"},
    routing_key="action",
    queue="ingest.actions",
    rank=1,
    path="/actions/{id}",
    tables=(
        Table(name="actions", month="recorded_at", partitioned=True, counted="stored_at"),
        Table(name="action_ids", month="recorded_at"),
        Table(name="nodes", rights="SELECT, UPDATE, DELETE"),
    ),
    tells={
        "organization": "organization_name",
        "entity": "entity_name",
        "requestor": "requestor_name",
        "service_hostname": "service_hostname",
        "remote_hostname": "remote_hostname",
        "user_agent": "user_agent",
    },
    opaque=frozenset({"data"}),
    fastpath=(COLUMNS, fastpath),
)
