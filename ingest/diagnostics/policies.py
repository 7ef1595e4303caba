"""What the management API's answers mean: policies that cap our queues, missing bindings, nodes in trouble, copies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ingest.diagnostics.finding import Finding
from schemas.topology import TOPOLOGY

CAPS: Final = {
    "max-length": "drops or refuses messages beyond it",
    "max-length-bytes": "drops or refuses messages beyond it",
    "message-ttl": "lets messages expire unread",
    "expires": "deletes the queue when it is unused",
    "delivery-limit": "gives good messages up that came back so often",
}
_OURS: Final = ("all", "queues", "quorum_queues")
"""What a policy applies to, when it may apply to our queues."""

_PLENTY: Final = 1_000_000
"""Returns that no outage comes to."""

MAJORITY: Final = 3
"""Copies from which on the loss of one disk loses nothing."""

ApiEntry = Mapping[str, Any]


def policies(users: list[ApiEntry], operators: list[ApiEntry]) -> Iterator[Finding]:
    """From `/api/policies/VHOST` and `/api/operator-policies/VHOST`; of each, one is in force on a queue."""
    found = [*_capping(users, "policy"), *_capping(operators, "operator_policy")]
    yield from found
    if not found:
        yield Finding("policies", "ok", "no policy caps our queues")


def _capping(found: list[ApiEntry], kind: str) -> Iterator[Finding]:
    capped: dict[tuple[str, str], list[str]] = {}
    for queue in TOPOLOGY.queues:
        for policy in _in_force(found, queue.name):
            for cap in CAPS.keys() & policy["definition"].keys():
                if cap == "delivery-limit" and not _too_low(policy["definition"][cap], queue.arguments):
                    continue
                capped.setdefault((policy["name"], cap), []).append(queue.name)
    rows = {policy["name"]: policy for policy in found}
    for (name, cap), queues in sorted(capped.items()):
        value = rows[name]["definition"][cap]
        text = f"{kind.replace('_', ' ')} {name!r} sets {cap} = {value} on {', '.join(queues)}: it {CAPS[cap]}"
        remedy = f"narrow its pattern, or rabbitmqctl clear_{kind} -p {rows[name]['vhost']} {name}"
        yield Finding("policies", "warning", text, remedy)


def _too_low(limit: Any, arguments: Mapping[str, Any]) -> bool:
    # Of a policy's and an argument's the lower one holds. Below nothing (-1) RabbitMQ 3.10 drops at the first return.
    wanted = arguments.get("x-delivery-limit")
    return wanted is not None and (not isinstance(limit, int) or limit < min(wanted, _PLENTY))


def _in_force(found: list[ApiEntry], queue: str) -> Iterator[ApiEntry]:
    # Of all policies that match a queue, the one with the highest priority counts, whatever the others say.
    matching = [each for each in found if each.get("apply-to", "all") in _OURS and _matches(each["pattern"], queue)]
    highest = max((each.get("priority", 0) for each in matching), default=0)
    yield from (each for each in matching if each.get("priority", 0) == highest)


def _matches(pattern: str, queue: str) -> bool:
    try:
        return re.search(pattern, queue) is not None
    except re.error:
        # Erlang's patterns can more than ours; better to warn of one too many.
        return True


def bindings(found: list[ApiEntry]) -> Iterator[Finding]:
    """From `/api/bindings/VHOST`."""
    there = {(each["source"], each["destination"], each["routing_key"]) for each in found}
    wanted = [(each.exchange, each.queue, each.routing_key) for each in TOPOLOGY.bindings]
    missing = [each for each in wanted if each not in there]
    for exchange, queue, key in missing:
        text = f"{exchange} -> {queue} ({key}) is missing"
        yield Finding("bindings", "broken", text, "chef-ingest topology declare")
    if not missing:
        yield Finding("bindings", "ok", "all there, the dead-letter route's too")


def nodes(found: list[ApiEntry]) -> Iterator[Finding]:
    """From `/api/nodes`."""
    troubles = [each for node in found for each in _node(node)]
    yield from troubles
    if not troubles:
        yield Finding("nodes", "ok", f"no alarm; nodes: {', '.join(str(node['name']) for node in found)}")


def _node(node: ApiEntry) -> Iterator[Finding]:
    name = node["name"]
    if not node.get("running", True):
        yield Finding("nodes", "warning", f"{name} is down", "start it")
    if node.get("partitions"):
        text = f"{name} is cut off from {', '.join(node['partitions'])}"
        yield Finding("nodes", "broken", text, "mend the network, then see www.rabbitmq.com/docs/partitions")
    for alarm in ("mem_alarm", "disk_free_alarm"):
        if node.get(alarm):
            yield Finding("nodes", "broken", f"{name}: {alarm}", "free memory or disk there")
    free, limit = node.get("disk_free"), node.get("disk_free_limit")
    if isinstance(free, int) and isinstance(limit, int) and limit <= free < 2 * limit:
        text = f"{name}: {free // 2**20} MiB of disk free, publishing stops at {limit // 2**20} MiB"
        yield Finding("nodes", "warning", text, "free disk there")


def copies(queues: list[ApiEntry], nodes: int) -> Iterator[Finding]:
    """From `/api/queues/VHOST`, of a broker of so many nodes: on how many each queue lies."""
    wanted = min(MAJORITY, nodes)
    ours = {queue.name for queue in TOPOLOGY.queues}
    told = {each["name"]: len(each["members"]) for each in queues if each["name"] in ours and each.get("members")}
    few = {name: count for name, count in told.items() if count < wanted}
    for name, count in sorted(few.items()):
        text = f"{name} lies on {count} of {nodes} nodes: what waits in it may be lost with one disk"
        remedy = f"on each node that lacks it: rabbitmq-queues add_member -p VHOST {name} NODE"
        yield Finding("copies", "warning", text, remedy)
    if not few:
        yield Finding("copies", "ok", f"each queue lies on {wanted} or more of {nodes} nodes")
