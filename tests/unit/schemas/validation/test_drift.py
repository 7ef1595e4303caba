"""Drift names what is otherwise than documented, in words of ours, whatever a message holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from judge_samples import EXAMPLE

from schemas.labels import DIFFERENCES, UNKNOWN_MEMBER
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.drift import Drift, of_letter
from schemas.validation.judge import Candidate, Judge
from schemas.verdict import FOREIGN, Invalid

JUDGE = Judge.from_settings(Settings())
ACTION: dict[str, Any] = json.loads(EXAMPLE)


def drift(changes: dict[str, Any], door: str = "collector", *, without: str = "", spaces: bool = False) -> set[Drift]:
    """Of the documentation's action, changed."""
    action = {name: value for name, value in (ACTION | changes).items() if name != without}
    body = json.dumps(action, separators=None if spaces else (",", ":")).encode()
    judged = JUDGE(Message("action", body, door))
    assert isinstance(judged, Candidate)
    return set(judged.drift)


CASES = [
    ({"entity_type": "policy"}, Drift("entity_type", "enum", '"policy"')),
    ({"requestor_type": "chef-load"}, Drift("requestor_type", "enum", '"chef-load"')),
    ({"message_version": "1.0.0"}, Drift("message_version", "enum", '"1.0.0"')),
    ({"remote_request_id": "knife"}, Drift("remote_request_id", "pattern", '"knife"')),
    ({"recorded_at": "2026-11-25T10:00:00.5Z"}, Drift("recorded_at", "pattern", '"2026-11-25T10:00:00.5Z"')),
    ({"organization_name": ""}, Drift("organization_name", "name", '""')),
    ({"data": '{"password":"pie"}'}, Drift("data", "type", "a string")),
    ({"tenant": "secret"}, Drift(UNKNOWN_MEMBER, "unknown", "tenant")),
    ({"\x1b[2J": 1}, Drift(UNKNOWN_MEMBER, "unknown", "\\u001b[2J")),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
@pytest.mark.parametrize("spaces", [False, True], ids=["compact", "spaced"])
def test_what_is_otherwise_is_named_whichever_way_it_is_read(
    changes: dict[str, Any], expected: Drift, spaces: bool
) -> None:
    """One member, one word, one example; nothing of what `data` or an unknown member holds."""
    assert drift(changes, spaces=spaces) == {expected}


@pytest.mark.parametrize("member", ["id", "message_version"])
def test_a_documented_member_that_is_not_sent_is_missing(member: str) -> None:
    """Version 0.1.0 had no id."""
    assert drift({}, without=member) == {Drift(member, "missing", "nothing")}


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("door", ["http", "chef", "collector"])
def test_a_message_as_documented_has_no_drift(door: str, spaces: bool) -> None:
    """By any door, and an organization of null is documented."""
    assert drift({}, door, spaces=spaces) == drift({"organization_name": None}, door, spaces=spaces) == set()


def test_an_example_is_cut_short() -> None:
    """A megabyte in a member is no megabyte in a row that is written again and again."""
    (found,) = drift({"entity_type": "\x01" * 1_000_000})
    assert len(found.example) <= 100


FAULTS = {
    "run_id": "'x' is not a UUID",
    "status": "'gone' is not one of ['success', 'failure']",
    "resources.0.type": "'password' is not of type 'object'",
    "resources.7.type": "5 is not of type 'object'",
    "node_name": "'node_name' is a required property",
    "start_time": "'soon' is not a time, such as 2026-11-22T03:32:49Z",
    "invented": "'x' is not of type 'object'",
}


def test_a_letter_drifts_by_its_faults() -> None:
    """Each known member once, all others as one, and no value of what may hold secrets."""
    found = {each[:2]: each.example for each in of_letter("collector_end", Invalid("schema", "schema", FAULTS))}
    assert found == {
        ("run_id", "pattern"): "'x' is not a UUID",
        ("status", "enum"): "'gone' is not one of ['success', 'failure']",
        ("resources", "type"): "... is not of type 'object'",
        ("node_name", "missing"): "... is a required property",
        ("start_time", "time"): "'soon' is not a time, such as 2026-11-22T03:32:49Z",
        (UNKNOWN_MEMBER, "type"): "... is not of type 'object'",
    }
    assert {word for _, word in found} <= set(DIFFERENCES)


@pytest.mark.parametrize(
    ("invalid", "expected"),
    [
        (Invalid("decode", "not_json", {"message": "no JSON"}), {("message", "unreadable")}),
        (Invalid("meaning", "unknown_message_type", {"message_type": "no message"}), {(UNKNOWN_MEMBER, "other")}),
        (Invalid("meaning", FOREIGN, {"message": "not allowed"}), set()),
        (Invalid("database", "refused", {"name": "too long"}), set()),
        (Invalid("crash", "exception", {"message": "a fault"}), set()),
    ],
)
def test_only_what_a_sender_wrote_is_drift(invalid: Invalid, expected: set[tuple[str, str]]) -> None:
    """A fault of ours, the database's or a sender that may not is none."""
    assert {each[:2] for each in of_letter("unknown", invalid)} == expected
