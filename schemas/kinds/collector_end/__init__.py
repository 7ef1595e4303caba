"""The end of a run with its node and resources, as chef-clients tell a data collector [data-collector.md 1.2]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from schemas.kinds.collected import QUEUE, RUN_TELLS, given, loose_time, respelled, run_faults, run_id
from schemas.kinds.columns import (
    DEEP,
    ENVELOPE,
    MERGED,
    OWNER,
    STATE,
    BigInteger,
    Extra,
    Integer,
    Json,
    Text,
    Time,
    Uuid,
    holds,
    in_table,
    stored_as,
    within,
)
from schemas.kinds.extra import pack, to_json
from schemas.kinds.formats import LARGEST_BIGINT, LARGEST_INTEGER, WHOLE_NUMBER, Fault
from schemas.kinds.kind import Document, Kind, Table
from schemas.kinds.report import PATH
from schemas.message import Message

NODES: Final = "nodes"
KEPT_STATUSES: Final = frozenset({"updated", "failed"})
"""Of resources that changed something, or should have."""


class CollectedRow(NamedTuple):
    """A row of `run_resources`, with what only a data collector is told; without the run's own key."""

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
    status: Text
    recipe_name: Text | None
    error: Json | None
    conditional: Text | None
    ignore_failure: Text | None


class CollectorEndRow(NamedTuple):
    """The end of a chef-client run: what `runs` and `nodes` learn, and its resources, whatever became of them.

    Ends of one run are merged (`run_merge`), so that none but one of another time is a conflict.
    """

    run_id: Uuid
    organization: Annotated[Text, OWNER, holds("organization_name")]
    node_name: Text
    status: Annotated[Text, MERGED]
    start_time: Annotated[Time, MERGED, stored_as("end_start_time")] | None
    end_time: Time | None
    run_list: Annotated[Json, MERGED] | None
    expanded_run_list: Annotated[Json, MERGED] | None
    total_res_count: Annotated[Integer, MERGED, holds("total_resource_count")] | None
    error: Annotated[Json, MERGED, stored_as("data"), within("exception")] | None
    resource_counts: Annotated[Json, ENVELOPE]
    entity_uuid: Annotated[Text, MERGED] | None
    source: Annotated[Text, MERGED] | None
    chef_server_fqdn: Annotated[Text, MERGED] | None
    client_version: Annotated[Text, ENVELOPE] | None
    policy_name: Annotated[Text, MERGED] | None
    policy_group: Annotated[Text, MERGED] | None
    environment: Annotated[Text, ENVELOPE, in_table(NODES)] | None
    node: Annotated[Json, MERGED, DEEP, in_table(NODES)] | None
    extra: Annotated[Extra, MERGED, stored_as("collector_end_extra")] | None
    resources: Annotated[tuple[CollectedRow, ...], MERGED]


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    return run_faults(values)


def make(message: Message, document: Document) -> CollectorEndRow:
    sent, members = document.values, document.members
    count = _number(sent.get("total_resource_count"), LARGEST_INTEGER)
    stored: dict[str, Any] = {
        "run_id": run_id(sent),
        "start_time": loose_time(sent.get("start_time")),
        "end_time": loose_time(sent.get("end_time")),
        "total_resource_count": count,
    }
    pairs = zip(document.elements.get("resources", ()), sent.get("resources", ()), strict=True)
    resources = tuple(_resource(position, *pair) for position, pair in enumerate(pairs))
    node = given(members, "node")
    if node is not None and not node.strip("{} \t\r\n"):
        node = None  # It could not be loaded: what is known of the node stays.
    environment, client_version = _facts(node)
    return CollectorEndRow(
        run_id=stored["run_id"],
        organization=sent["organization_name"],
        node_name=sent["node_name"],
        status=sent["status"],
        start_time=stored["start_time"],
        end_time=stored["end_time"],
        run_list=given(members, "run_list"),
        expanded_run_list=given(members, "expanded_run_list"),
        total_res_count=count,
        error=given(members, "error"),
        resource_counts=_counts(resources),
        entity_uuid=sent.get("entity_uuid"),
        source=sent.get("source"),
        chef_server_fqdn=sent.get("chef_server_fqdn"),
        client_version=client_version,
        policy_name=sent.get("policy_name"),
        policy_group=sent.get("policy_group"),
        environment=environment,
        node=node,
        extra=pack(members, sent, respelled(sent, stored) | ({"id"} if node is not None else {"id", "node"})),
        resources=resources,
    )


def _resource(position: int, members: dict[str, msgspec.Raw], sent: dict[str, Any]) -> CollectedRow:
    ignore_failure = sent.get("ignore_failure")
    stored: dict[str, Any] = {name: sent.get(name) or "" for name in ("type", "name", "id", "result", "status")}
    duration = _number(sent.get("duration"), LARGEST_BIGINT) or 0
    # Text that looks like what is made of a boolean.
    stored["ignore_failure"] = None if ignore_failure in ("true", "false") else ignore_failure
    changed = respelled(sent, stored)
    if sent.get("duration") not in (duration, str(duration)):
        changed.add("duration")
    return CollectedRow(
        position=position,
        type=stored["type"],
        name=stored["name"],
        resource_id=stored["id"],
        cookbook_name=sent.get("cookbook_name"),
        cookbook_version=sent.get("cookbook_version"),
        duration_ms=duration,
        before=given(members, "before"),
        after=given(members, "after"),
        delta=sent.get("delta"),
        result=stored["result"],
        extra=pack(members, sent, changed),
        status=stored["status"],
        recipe_name=sent.get("recipe_name"),
        error=given(members, "error"),
        conditional=sent.get("conditional"),
        ignore_failure=str(ignore_failure).lower() if isinstance(ignore_failure, bool) else ignore_failure,
    )


def _number(value: object, largest: int) -> int | None:
    """What a column takes of a number, or of text that is one."""
    if isinstance(value, str) and WHOLE_NUMBER.fullmatch(value):
        value = int(value)
    return value if isinstance(value, int) and abs(value) <= largest else None


def _counts(resources: tuple[CollectedRow, ...]) -> str:
    """Status -> how many, as JSON text."""
    counted = Counter(each.status for each in resources)
    return "{" + ",".join(f"{to_json(status)}:{counted[status]}" for status in sorted(counted)) + "}"


class _Package(msgspec.Struct):
    version: str | None = None


class _Packages(msgspec.Struct):
    chef: _Package | None = None


class _Automatic(msgspec.Struct):
    chef_packages: _Packages | None = None


class _Node(msgspec.Struct):
    chef_environment: str | None = None
    automatic: _Automatic | None = None


_NODE: Final = msgspec.json.Decoder(_Node)


def _facts(node: str | None) -> tuple[str | None, str | None]:
    """The environment and the client's version that a node object tells."""
    try:
        read = _NODE.decode(node or "{}")
    except (msgspec.MsgspecError, RecursionError):
        return None, None
    packages = read.automatic and read.automatic.chef_packages
    return read.chef_environment, packages.chef.version if packages and packages.chef else None


KIND: Final = Kind(
    name="collector_end",
    row=CollectorEndRow,
    make=make,
    faults=faults,
    schemas={"documented": "wire.json", "wire": "wire.json"},
    routing_key="collector.end",
    queue=QUEUE,
    rank=2,
    path=PATH,
    tables=(
        # A run may become known by it.
        Table(name="runs", rights="SELECT, INSERT, UPDATE", month="start_time", counted="ended_at"),
        Table(name="run_resources", rights="SELECT, INSERT, UPDATE, DELETE", month="start_time", partitioned=True),
        Table(name=NODES, rights="SELECT, INSERT, UPDATE"),
    ),
    opaque=frozenset({"run_list", "expanded_run_list", "error", "node"}),
    elements={"resources": frozenset({"before", "after", "error"})},
    sign={"message_type": "run_converge"},
    answered_with_uri=False,
    tells=RUN_TELLS,
)
