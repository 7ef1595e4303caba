"""What doctor finds in what servers say of their own durability."""

from __future__ import annotations

import pytest

from ingest.diagnostics.database import SAFETY, unsafe
from ingest.diagnostics.policies import copies

ON = dict.fromkeys(SAFETY, "on")


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
def test_each_setting_that_is_off_is_a_warning_of_its_own(name: str) -> None:
    """It names the setting and the remedy; what is on, or weakly on by its owner's choice, is none."""
    assert list(unsafe(ON | {"synchronous_commit": "local"})) == []
    (found,) = unsafe(ON | {name: "off"})
    assert (found.level, found.finding.partition(":")[0]) == ("warning", f"{name} = off")
    assert f"set {name} = on" in found.remedy


@pytest.mark.parametrize(("nodes", "members", "level"), [
    (1, 1, "ok"), (2, 1, "warning"), (2, 2, "ok"), (3, 1, "warning"), (3, 2, "warning"), (3, 3, "ok"), (5, 3, "ok"),
])  # fmt: skip
def test_a_queue_with_fewer_copies_than_the_broker_could_keep_is_a_warning(
    nodes: int, members: int, level: str
) -> None:
    """Three are enough, and one has to be where there is but one node; queues of others are theirs."""
    told = [{"name": "ingest.runs", "members": ["n"] * nodes}, {"name": "ingest.actions", "members": ["n"] * members}]
    (found,) = copies([*told, {"name": "theirs", "members": ["n"]}, {"name": "ingest.dead"}], nodes)
    assert found.level == level
    assert f"ingest.actions lies on {members} of {nodes} nodes" in found.finding or level == "ok"
