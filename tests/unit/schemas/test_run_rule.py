"""Laws of the run rule."""

import pytest
from judge_samples import action, judge_with

from schemas.run_rule import named_run, run_rule
from schemas.verdict import DuringRun

RUN = "1825a402-b4ea-4a70-9496-a21b4492b6fc"
KNOWN = {RUN: "ponyville"}
SELF_UPDATE = {"task": "update", "entity_type": "node", "entity_name": "n", "requestor_name": "n"} | {
    "requestor_type": "client"
}


def row(**changes):
    return judge_with()(action("chef", **changes)).row


@pytest.mark.parametrize("sent", [RUN, RUN.upper()])
def test_an_action_that_names_a_known_run_is_during_it(sent):
    """remote_request_id names a run whatever its case, and the verdict names it in lower case."""
    assert run_rule(row(remote_request_id=sent), KNOWN, "run_id") == DuringRun("run_id", RUN)


@pytest.mark.parametrize(
    "changes",
    [
        {"remote_request_id": "a2944b40-fc19-46ac-ba6d-9533b69ffc90"},
        {"remote_request_id": None},
        {"remote_request_id": "{" + RUN + "}"},
        {"remote_request_id": RUN + "\n"},
        {"remote_request_id": RUN, "organization_name": "canterlot"},
        {"remote_request_id": RUN, "organization_name": ...},
    ],
)
def test_other_runs_other_organizations_and_none_do_not_match(changes):
    """Only the id of a run known in the action's own organization makes it an action during a run."""
    assert run_rule(row(**changes), KNOWN, "run_id") is None


def test_null_organization_never_matches_an_unknown_run():
    """An action of no organization is no run's, not even an unknown one's."""
    assert run_rule(row(remote_request_id=RUN, organization_name=...), {}, "both") is None


@pytest.mark.parametrize(("sent", "run"), [(RUN.upper(), RUN), ("x", None), (None, None)])
def test_self_node_update(sent, run):
    """A client that updates its own node is during a run, and the run is named when there is a UUID."""
    found = run_rule(row(remote_request_id=sent, **SELF_UPDATE), {}, "self_node_update")
    assert found == DuringRun("self_node_update", run)


@pytest.mark.parametrize(
    "change",
    [{"task": "create"}, {"entity_type": "role"}, {"entity_name": "m"}, {"requestor_type": "user"}],
)
def test_anything_else_is_no_self_node_update(change):
    """Each of the four conditions is needed."""
    assert run_rule(row(**(SELF_UPDATE | change)), {}, "self_node_update") is None


def test_both_prefers_the_run_and_off_lets_all_pass():
    """With both rules the known run is named first; with none nothing is skipped; one rule is not the other."""
    update = row(remote_request_id=RUN, **SELF_UPDATE)
    assert run_rule(update, KNOWN, "both") == DuringRun("run_id", RUN)
    assert run_rule(update, {}, "both") == DuringRun("self_node_update", RUN)
    assert run_rule(update, KNOWN, "off") is None
    assert run_rule(update, {}, "run_id") is None


def test_named_run_is_a_lower_case_uuid_or_none():
    """named_run answers for the same values that the rule does."""
    assert named_run(row(remote_request_id=RUN.upper())) == RUN
    assert named_run(row(remote_request_id="undefined")) is None
