"""What doctor finds in the broker's policies and nodes."""

from __future__ import annotations

import pytest

from ingest.diagnostics.policies import nodes, policies


def policy(pattern: str, priority: int = 0, kind: str = "all", **definition: object) -> dict[str, object]:
    found = {"name": f"p{priority}", "vhost": "v", "pattern": pattern, "priority": priority, "apply-to": kind}
    return found | {"definition": {name.replace("_", "-"): value for name, value in definition.items()}}


@pytest.mark.parametrize("limit", [-1, 0, 20, 99_999, "many"])
def test_a_low_delivery_limit_by_policy_is_a_warning(limit: object) -> None:
    """The lower of a policy and the queue's own argument holds, and good messages come back often in an outage."""
    (found,) = policies([policy(r"^ingest\.(actions|runs)$", delivery_limit=limit)], [])
    assert (found.level, f"delivery-limit = {limit} on ingest.actions, ingest.runs" in found.finding) == (
        "warning",
        True,
    )


def test_a_policy_that_caps_our_queues_is_a_warning() -> None:
    """Only one that is in force on a queue of ours, and that limits length or time."""
    cap = policy(r"^ingest\.actions$", max_length=5)
    for harmless in (
        [policy("^other", max_length=5), policy("ingest", ha_mode="all")],
        [policy("ingest", kind="exchanges", max_length=5), policy("ingest", kind="classic_queues", expires=5)],
        [cap, policy("ingest", 1, ha_mode="all")],
        [policy("ingest", delivery_limit=10**9), policy("^ingest.delay$", delivery_limit=1)],
    ):
        assert [each.level for each in policies(harmless, harmless)] == ["ok"]
    for users, operators in (([cap], []), ([cap, policy("other", 1)], []), ([policy(".*", 1)], [cap])):
        (capping,) = policies(users, operators)
        assert capping.level == "warning"
        assert "max-length = 5 on ingest.actions" in capping.finding
        assert ("clear_operator_policy" if operators else "clear_policy") in capping.remedy


def test_a_pattern_that_only_erlang_can_read_is_taken_to_match() -> None:
    """Better warned of one policy too many than of one too few."""
    (capping,) = policies([policy(r"\Qingest\E", message_ttl=5)], [])
    assert capping.level == "warning"


def test_a_node_in_trouble_is_a_finding() -> None:
    """Alarms and partitions are broken, a node that is down or short of disk is a warning, and else all is well."""
    fine = {"name": "n", "running": True, "partitions": [], "mem_alarm": False, "disk_free": 10, "disk_free_limit": 2}
    worse = (
        {"partitions": ["m"]},
        {"mem_alarm": True},
        {"disk_free_alarm": True},
        {"running": False},
        {"disk_free": 3},
    )
    levels = ["ok", "broken", "broken", "broken", "warning", "warning"]
    assert [found.level for each in ({}, *worse) for found in nodes([fine | each])] == levels
