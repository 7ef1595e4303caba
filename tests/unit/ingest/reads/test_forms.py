"""Rows become the forms that readers know."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.reads import analytics, own, reporting
from schemas.kinds.action import ActionRow

ACTION = ActionRow(
    id="b576b4a2-7b2a-43b8-b385-d6281e9a139e", recorded_at="2026-11-21T19:32:49Z", organization_name="pony/ville",
    entity_type="item", entity_name="a b", parent_type="bag", parent_name="secrets", task="update",
    requestor_type="user", requestor_name="rarity", remote_hostname="127.0.0.1", remote_request_id=None, request_id="r",
    service_hostname="chef.example.com", user_agent="knife", message_type="action", message_version="0.1.1",
    data='{"a": 1, "a": 2}', extra=None,
)  # fmt: skip
RUN: dict[str, Any] = {
    "run_id": "562c4230-1569-4003-a81f-8c0100231d65", "organization": "acme", "node_name": "web1", "status": "started",
    "aborted": False, "start_time": "2026-11-21T19:32:49Z", "end_time": None, "run_list": None, "total_res_count": None,
    "updated_res_count": None, "data": None, "strays": False,
}  # fmt: skip
RESOURCE: dict[str, Any] = {
    "position": 7, "type": "file", "name": "/etc/motd", "id": "/etc/motd", "cookbook_name": None,
    "cookbook_version": None, "duration": "12",
    "before": '{"big": 12345678901234567890123}', "after": None, "delta": None, "result": "create",
}  # fmt: skip


def test_an_action_has_analytics_members_beside_its_own() -> None:
    """Whose it is, what it was done to, and where a Chef server has that."""
    shown = json.loads(analytics.action(ACTION))
    assert json.loads(own.action(ACTION)).items() <= shown.items()
    assert shown["requestable"] == {"name": "rarity", "type": "user", "endpoint": "/users/rarity", "properties": {}}
    assert shown["entity"] == {
        "name": "a b",
        "type": "item",
        "endpoint": "/organizations/pony%2Fville/data/secrets/a%20b",
        "manage": None,
        "parent": {"name": "secrets", "type": "bag", "endpoint": "/organizations/pony%2Fville/data/secrets"},
    }
    assert shown["remote_request_id"] is None
    assert json.loads(analytics.action(ACTION._replace(remote_request_id="x")))["remote_request_id"] == "x"


def test_what_the_sender_said_stays_where_analytics_has_a_member_of_that_name() -> None:
    """An action is never shown to say what was not sent."""
    shown = analytics.action(ACTION._replace(extra='{"entity": 5, "tags": ["x"]}'))
    assert (json.loads(shown)["entity"], json.loads(shown)["tags"]) == (5, ["x"])
    assert shown.count('"entity":') == 1


def test_what_has_no_place_at_a_chef_server_has_no_endpoint() -> None:
    """A permission, or anything of no organization but users and organizations."""
    odd = ACTION._replace(entity_type="permission", parent_type=None, parent_name=None)
    assert json.loads(analytics.action(odd))["entity"]["endpoint"] is None
    unowned = ACTION._replace(entity_type="node", organization_name=None)
    assert json.loads(analytics.action(unowned))["entity"]["endpoint"] is None
    user = ACTION._replace(entity_type="user", organization_name=None)
    assert json.loads(analytics.action(user))["entity"]["endpoint"] == "/users/a%20b"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_list_is_json_whatever_names_hold(name: str, agent: str) -> None:
    """And its table is the same."""
    row = ACTION._replace(entity_name=name, user_agent=agent)._asdict()
    assert json.loads(analytics.listed([row, row]))[1]["entity"]["name"] == name
    assert json.loads(analytics.exported([row], "json"))[0]["user_agent"] == agent
    [line] = analytics.exported([row], "ndjson").decode().split("\n")[:-1]
    assert json.loads(line)["entity_name"] == name
    assert "data" not in json.loads(line)


def test_a_run_that_has_not_ended_has_what_the_gem_does_sums_with() -> None:
    """Numbers and a run list in JSON, though none is known; null for its end."""
    shown = json.loads(reporting.run(RUN, [], "http://x/runs/1"))
    assert shown == {
        "run_detail": {
            "node_name": "web1",
            "run_id": RUN["run_id"],
            "status": "started",
            "start_time": "2026-11-21T19:32:49Z",
            "end_time": None,
            "run_list": "[]",
            "total_res_count": 0,
            "updated_res_count": 0,
            "data": {},
        },
        "run_resources": [],
    }
    aborted = json.loads(reporting.run(RUN | {"aborted": True}, [], ""))
    assert aborted["run_detail"]["status"] == "aborted"
    assert json.loads(own.run(RUN | {"aborted": True}, []))["status"] == "started"


def test_a_resource_is_told_with_its_states_to_the_letter_and_where_its_difference_is() -> None:
    """A number of many digits is no float on its way."""
    shown = reporting.run(RUN, [RESOURCE], "http://x/runs/1")
    assert b'"initial_state":{"big": 12345678901234567890123}' in shown
    [told] = json.loads(shown)["run_resources"]
    assert (told["uri"], told["final_state"], told["duration"]) == ("http://x/runs/1/7", None, "12")
    assert json.loads(reporting.resource(RESOURCE)) == {"resource_detail": {"content_delta": ""}}
    assert "run_detail" not in json.loads(reporting.run(RUN, [], "", detail=False))
