"""What is known of a node: the latest of what its runs and its pings told, in whatever order they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from schemas.kinds.columns import Boolean, Json, Text, Time, Uuid


class NodeState(NamedTuple):
    """Columns of `nodes`, in three groups: of the latest run, of the latest node object, of the latest ping.

    `reboot`: the run ended in order to reboot. `told_at` is the start of the run that told the node object, and
    `node_hash` SHA-256 of its text. `node` is None where the one that is stored stays.
    """

    organization: Text
    name: Text
    run_id: Uuid | None = None
    status: Text | None = None
    reboot: Boolean = False
    start_time: Time | None = None
    end_time: Time | None = None
    told_at: Time | None = None
    client_version: Text | None = None
    environment: Text | None = None
    policy_name: Text | None = None
    policy_group: Text | None = None
    run_list: Json | None = None
    node_hash: Text | None = None
    pinged_at: Time | None = None
    ping_extra: Json | None = None
    node: Json | None = None

    @property
    def seen(self) -> str:
        """When it was alive last, by its own clock; empty: nobody knows."""
        return max(self.start_time or "", self.pinged_at or "")


def latest(known: NodeState, told: NodeState) -> NodeState:
    """What holds of a node of which more is told; the same object where nothing is new."""
    new: dict[str, object] = {}
    for is_newer, fields in _GROUPS:
        if is_newer(known, told):
            new |= {field: getattr(told, field) for field in fields}
    if new.get("node_hash") == known.node_hash:
        new["node"] = known.node  # It need not be written again.
    changed = known._replace(**new)  # type: ignore[arg-type]
    return known if changed == known else changed


def _newer_run(known: NodeState, told: NodeState) -> bool:
    """A later one, or more of the same: a failure weighs more than a success, and that more than a reboot."""
    if told.run_id is None:
        return False
    if told.run_id == known.run_id:
        return _weight(told) > _weight(known)
    return (told.start_time or "", told.run_id) > (known.start_time or "", known.run_id or "")


def _weight(state: NodeState) -> int:
    if state.status == "failure":
        return 1 if state.reboot else 3
    return 2 if state.status == "success" else 0


def _newer_node(known: NodeState, told: NodeState) -> bool:
    """A run that died early has no node object, and tells nothing against one that had."""
    return _told(told) > _told(known)


def _told(state: NodeState) -> tuple[bool, str, str]:
    return state.node_hash is not None, state.told_at or "", state.node_hash or ""


def _newer_ping(known: NodeState, told: NodeState) -> bool:
    return (told.pinged_at or "", told.ping_extra or "") > (known.pinged_at or "", known.ping_extra or "")


_GROUPS: Final[tuple[tuple[Callable[[NodeState, NodeState], bool], tuple[str, ...]], ...]] = (
    (_newer_run, ("run_id", "status", "reboot", "start_time", "end_time")),
    (
        _newer_node,
        (
            "told_at",
            "client_version",
            "environment",
            "policy_name",
            "policy_group",
            "run_list",
            "node_hash",
            "node",
        ),
    ),
    (_newer_ping, ("pinged_at", "ping_extra")),
)
