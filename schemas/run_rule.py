"""The run rule: which actions were posted during a chef-client run and are not stored [protocol.md 2.1]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from schemas.kinds.formats import canonical_uuid
from schemas.verdict import DuringRun


class Action(Protocol):
    """What the rule looks at of an action."""

    @property
    def organization_name(self) -> str | None: ...
    @property
    def entity_type(self) -> str: ...
    @property
    def entity_name(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def requestor_type(self) -> str: ...
    @property
    def requestor_name(self) -> str: ...
    @property
    def remote_request_id(self) -> str | None: ...


def named_run(row: Action) -> str | None:
    """The run id that the action may name, in lower case: its remote_request_id, when that is a UUID."""
    return canonical_uuid(row.remote_request_id)


def run_rule(row: Action, known_runs: Mapping[str, str], rule: str) -> DuringRun | None:
    """The verdict on an action posted during a run; None when it is to be stored.

    `known_runs` is run id (lower case) -> organization. `rule` is the setting `during_run`:
    `run_id`, `self_node_update`, `both` (the first that holds, in this order) or `off`.
    """
    run = named_run(row)
    # A chef-client sends its run id as X-Remote-Request-Id; knife sends a UUID that is no run's.
    if rule in ("run_id", "both") and run is not None and _is_known(run, row.organization_name, known_runs):
        return DuringRun("run_id", run)
    if rule in ("self_node_update", "both") and _is_self_node_update(row):
        return DuringRun("self_node_update", run)
    return None


def _is_known(run: str, organization: str | None, known_runs: Mapping[str, str]) -> bool:
    return organization is not None and known_runs.get(run) == organization


def _is_self_node_update(row: Action) -> bool:
    return (
        row.task == "update"
        and row.entity_type == "node"
        and row.requestor_type == "client"
        and row.entity_name == row.requestor_name
    )
