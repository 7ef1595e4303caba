"""What the messages of a data collector share: their queue, and the facts of a run that each tells in its body."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas.kinds.extra import raw_text
from schemas.kinds.formats import Fault, canonical_uuid, name_fault, time_fault, zoned_time

QUEUE: Final = "ingest.collector"
TELLS: Final[Mapping[str, str]] = MappingProxyType({"organization": "organization_name", "node": "node_name"})
"""What all of them tell of themselves."""
RUN_TELLS: Final[Mapping[str, str]] = MappingProxyType({**TELLS, "service_hostname": "chef_server_fqdn"})
"""The same of those that are about a run."""

_BARE_UUID: Final = re.compile(r"([0-9a-fA-F]{8})([0-9a-fA-F]{4})([0-9a-fA-F]{4})([0-9a-fA-F]{4})([0-9a-fA-F]{12})")


def loose_uuid(value: object) -> str | None:
    """The UUID in lower case, with hyphens, also of 32 hex digits without any; None when it is neither."""
    if isinstance(value, str) and (bare := _BARE_UUID.fullmatch(value)):
        return "-".join(bare.groups()).lower()
    return canonical_uuid(value)


def run_id(values: Mapping[str, Any]) -> str | None:
    """The run that a message is of: its `run_id`, or its `id` where that is left out, null or empty; None when what it
    says is no UUID."""
    return loose_uuid(values.get("run_id") or values.get("id"))


def run_faults(values: Mapping[str, Any]) -> dict[str, Fault]:
    """What is wrong with the facts of a run that each of its messages tells."""
    found = body_faults(values, names=("organization_name", "node_name"), times=("start_time", "end_time"))
    if run_id(values) is None:
        said = values.get("run_id") or values.get("id")
        text = f"{said!r:.100} is not a UUID" if said else "neither it nor id says which run it is"
        found = {"run_id": Fault("not_a_uuid", text)} | found
    return found


def body_faults(
    values: Mapping[str, Any], *, uuid: str = "", names: Iterable[str] = (), times: Iterable[str] = ()
) -> dict[str, Fault]:
    """What is wrong with the members of these names: one that is a UUID, names of things, and times, which may be
    null."""
    found: dict[str, Fault] = {}
    if uuid in values and loose_uuid(values[uuid]) is None:
        found[uuid] = Fault("not_a_uuid", f"{values[uuid]!r:.100} is not a UUID")
    for member in names:
        if fault := name_fault(values.get(member), member.removesuffix("_name")):
            found[member] = fault
    for member in times:
        if fault := time_fault(values.get(member), zoned_time):
            found[member] = fault
    return found


def loose_time(value: str | None) -> str | None:
    """UTC as `YYYY-MM-DDTHH:MM:SSZ`; None of null."""
    return None if value is None else zoned_time(value)


def respelled(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> set[str]:
    """The members that are sent otherwise than their column holds them; one that is left out is not."""
    return {name for name, value in stored.items() if name in sent and sent[name] != value}


def given(members: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """The JSON text of a member; None when it is absent or null."""
    text = raw_text(members, name)
    return None if text == "null" else text
