"""The end of a chef-client run and the resources it updated, as Reporting clients tell it [protocol.md 3.2]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from schemas.kinds.columns import (
    ENVELOPE,
    MERGED,
    STATE,
    BigInteger,
    Extra,
    Integer,
    Json,
    Text,
    Time,
    Uuid,
    holds,
    stored_as,
)
from schemas.kinds.extra import pack, raw_text
from schemas.kinds.formats import (
    LARGEST_BIGINT,
    LARGEST_INTEGER,
    WHOLE_NUMBER,
    Fault,
    canonical_uuid,
    time_fault,
    uuid_fault,
    zoned_time,
)
from schemas.kinds.kind import Document, Kind, Table
from schemas.kinds.report import PATH, QUEUE, url_faults
from schemas.message import Message


class ResourceRow(NamedTuple):
    """A row of `run_resources`, without the run's own key."""

    position: Annotated[Integer, ENVELOPE]
    type: Text
    name: Text
    resource_id: Annotated[Text, holds("id")]
    cookbook_name: Text | None
    cookbook_version: Text | None
    duration_ms: Annotated[BigInteger, holds("duration")]
    before: Annotated[Json, STATE] | None
    after: Annotated[Json, STATE] | None
    delta: Annotated[Text, STATE] | None
    result: Text
    extra: Extra | None


class RunEndRow(NamedTuple):
    """The end of a chef-client run: what `runs` learns, and the resources it updated.

    `run_list` and `expanded_run_list` are the strings the client sent (they hold JSON of their own). The end's own
    `start_time` is kept to tell a repeated end from another one; `run_merge` weighs ends of another `status`.
    """

    run_id: Uuid
    organization: Annotated[Text, ENVELOPE]
    node_name: Annotated[Text, ENVELOPE]
    status: Annotated[Text, MERGED]
    start_time: Annotated[Time, stored_as("end_start_time")] | None
    end_time: Time
    run_list: Text
    total_res_count: Integer
    data: Json
    expanded_run_list: Text | None
    extra: Annotated[Extra, stored_as("end_extra")] | None
    resources: tuple[ResourceRow, ...]


_NULLABLE: Final[tuple[str, ...]] = ("cookbook_name", "cookbook_version", "delta")


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    found = url_faults(message)
    checks = {
        "run_id": _run_id_fault(message, values),
        "start_time": time_fault(values.get("start_time") or None, zoned_time),
        "end_time": time_fault(values.get("end_time"), zoned_time),
        "total_res_count": _number_fault(values.get("total_res_count"), LARGEST_INTEGER),
    }
    found |= {field: fault for field, fault in checks.items() if fault is not None}
    resources = values.get("resources")
    for position, resource in enumerate(resources if isinstance(resources, list) else ()):
        duration = resource.get("duration") if isinstance(resource, dict) else None
        fault = _number_fault(duration, LARGEST_BIGINT)
        if fault is not None:
            found[f"resources.{position}.duration"] = fault
    return found


def _run_id_fault(message: Message, values: Mapping[str, Any]) -> Fault | None:
    if message.run_id is None:
        return Fault("not_a_uuid", "no run id in the URL of the report")
    in_url, in_body = canonical_uuid(message.run_id), values.get("run_id")
    if in_url is None:
        return uuid_fault(message.run_id)
    if "run_id" not in values:
        return None
    fault = uuid_fault(in_body)
    if fault is None and canonical_uuid(in_body) != in_url:
        return Fault("other_run", f"{in_body!r} is not the run in the URL, {message.run_id!r}")
    return fault


def _number_fault(value: object, largest: int) -> Fault | None:
    """What the schema lets through: a final line break, a number too large for its column."""
    if isinstance(value, str):
        if not WHOLE_NUMBER.fullmatch(value):
            return Fault("not_a_number", "must be a whole number")
        value = int(value)
    if isinstance(value, int) and abs(value) > largest:
        return Fault("number_too_large", f"must be {largest} at most")
    return None


def make(message: Message, document: Document) -> RunEndRow:
    sent = document.values
    run_id = (message.run_id or "").lower()
    start_time = zoned_time(sent["start_time"])
    end_time = zoned_time(sent["end_time"]) or ""
    count = int(sent["total_res_count"])
    # What a client would have sent for the value in the column.
    usual = {"run_id": run_id, "start_time": start_time, "end_time": end_time, "total_res_count": str(count)}
    respelled = {name for name, value in usual.items() if name in sent and sent[name] != value}
    pairs = zip(document.elements["resources"], sent["resources"], strict=True)
    return RunEndRow(
        run_id=run_id,
        organization=message.organization or "",
        node_name=message.node or "",
        status=sent["status"],
        start_time=start_time,
        end_time=end_time,
        run_list=sent["run_list"],
        total_res_count=count,
        data=raw_text(document.members, "data") or "{}",
        expanded_run_list=sent.get("expanded_run_list"),
        extra=pack(document.members, sent, respelled),
        resources=tuple(_resource(position, *pair) for position, pair in enumerate(pairs)),
    )


def _resource(position: int, members: dict[str, msgspec.Raw], sent: dict[str, Any]) -> ResourceRow:
    duration = int(sent["duration"])
    respelled: set[str] = {name for name in _NULLABLE if name in sent and sent[name] is None}
    if sent["duration"] != str(duration):
        respelled.add("duration")
    return ResourceRow(
        position=position,
        type=sent["type"],
        name=sent["name"],
        resource_id=sent["id"],
        cookbook_name=sent.get("cookbook_name"),
        cookbook_version=sent.get("cookbook_version"),
        duration_ms=duration,
        before=raw_text(members, "before"),
        after=raw_text(members, "after"),
        delta=sent.get("delta"),
        result=sent["result"],
        extra=pack(members, sent, respelled),
    )


KIND: Final = Kind(
    name="run_end",
    row=RunEndRow,
    make=make,
    faults=faults,
    schemas={"documented": "documented.json", "wire": "documented.json"},
    routing_key="run.end",
    queue=QUEUE,
    rank=2,
    path=PATH,
    tables=(
        Table(name="runs", rights="SELECT, UPDATE", month="start_time", counted="ended_at"),
        Table(name="run_resources", rights="SELECT, INSERT, UPDATE, DELETE", month="start_time", partitioned=True),
    ),
    opaque=frozenset({"data"}),
    elements={"resources": frozenset({"before", "after"})},
    sign={"action": "end"},
    waits=True,
    answered_with_uri=False,
)
