"""A compliance report: what InSpec found on a node [data-collector.md 1.6]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from schemas.kinds.collected import QUEUE, TELLS, body_faults, loose_uuid, respelled
from schemas.kinds.columns import ENVELOPE, OWNER, Extra, Integer, Json, Text, Time, Uuid, holds
from schemas.kinds.extra import pack, raw_text
from schemas.kinds.formats import Fault, zoned_time
from schemas.kinds.kind import Document, Kind, Table
from schemas.message import Message


class ComplianceRow(NamedTuple):
    """A row of `compliance_reports`. `status` and the counts, of controls by result, are ours to tell."""

    id: Annotated[Uuid, holds("report_uuid")]
    organization: Annotated[Text, OWNER, holds("organization_name")] | None
    node_name: Text | None
    node_uuid: Text | None
    end_time: Time
    status: Annotated[Text, ENVELOPE]
    passed: Annotated[Integer, ENVELOPE]
    failed: Annotated[Integer, ENVELOPE]
    skipped: Annotated[Integer, ENVELOPE]
    waived: Annotated[Integer, ENVELOPE]
    environment: Text | None
    policy_name: Text | None
    policy_group: Text | None
    profiles: Json
    extra: Extra | None


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    return body_faults(values, uuid="report_uuid", times=("end_time",))


def make(message: Message, document: Document) -> ComplianceRow:
    sent = document.values
    stored = {"report_uuid": loose_uuid(sent["report_uuid"]) or "", "end_time": zoned_time(sent["end_time"]) or ""}
    profiles = raw_text(document.members, "profiles") or "[]"
    counts = _counts(profiles)
    return ComplianceRow(
        id=stored["report_uuid"],
        organization=sent.get("organization_name"),
        node_name=sent.get("node_name"),
        node_uuid=sent.get("node_uuid"),
        end_time=stored["end_time"],
        status=_status(counts, document.members),
        passed=counts["passed"],
        failed=counts["failed"],
        skipped=counts["skipped"],
        waived=counts["waived"],
        environment=sent.get("environment"),
        policy_name=sent.get("policy_name"),
        policy_group=sent.get("policy_group"),
        profiles=profiles,
        extra=pack(document.members, sent, respelled(sent, stored)),
    )


class _Result(msgspec.Struct):
    status: str | None = None


class _Removed(msgspec.Struct):
    """How many results a truncated report had more."""

    failed: int = 0
    skipped: int = 0
    passed: int = 0


class _Waiver(msgspec.Struct):
    message: str | None = None
    justification: Any = None
    skipped_due_to_waiver: Any = None
    run: Any = None


class _Control(msgspec.Struct):
    results: list[_Result] | None = None
    removed_results_counts: _Removed | None = None
    waiver_data: _Waiver | None = None


class _Profile(msgspec.Struct):
    controls: list[_Control] | None = None


_PROFILES: Final = msgspec.json.Decoder(list[_Profile])
_NO_WAIVER: Final = _Waiver()


def _counts(profiles: str) -> Counter[str]:
    """Result -> how many controls came to it; none of what can't be read."""
    try:
        read = _PROFILES.decode(profiles)
    except (msgspec.MsgspecError, RecursionError):
        return Counter()
    return Counter(_result(control) for profile in read for control in profile.controls or ())


def _result(control: _Control) -> str:
    waiver = control.waiver_data or _NO_WAIVER
    if waiver != _NO_WAIVER and not (waiver.message or "").startswith("Waiver expired"):
        return "waived"
    removed = control.removed_results_counts or _Removed()
    found = {each.status for each in control.results or ()}
    found |= {name for name in ("failed", "skipped") if getattr(removed, name)}
    return next((status for status in ("failed", "skipped") if status in found), "passed")


def _status(counts: Counter[str], members: Mapping[str, msgspec.Raw]) -> str:
    """Failed when a control has, or InSpec itself."""
    if counts["failed"] or raw_text(members, "status") == '"failed"':
        return "failed"
    return next((status for status in ("passed", "waived") if counts[status]), "skipped")


KIND: Final = Kind(
    name="compliance",
    row=ComplianceRow,
    make=make,
    faults=faults,
    schemas={"documented": "wire.json", "wire": "wire.json"},
    routing_key="collector.compliance",
    queue=QUEUE,
    rank=3,
    path="/compliance/reports/{id}",
    tables=(Table(name="compliance_reports", key="id", month="end_time", counted="stored_at"),),
    opaque=frozenset({"profiles"}),
    sign={"profiles": None},
    answered_with_uri=False,
    tells=TELLS,
)
