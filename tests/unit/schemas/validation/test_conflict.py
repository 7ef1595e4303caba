"""Laws of comparing a stored row with one sent under the same key."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_samples import action, judge_with, resource, run_end, run_start

from schemas.message import Message
from schemas.validation.conflict import differences, same_json, sides

JUDGE = judge_with()


def row(message):
    return JUDGE(message).row


def test_spelling_is_no_difference():
    """Capitals in the id, white space and member order leave an action the same."""
    one = row(action(data={"a": 1, "b": [True]}, more={"x": 1}))
    sent = json.loads(action(data={"b": [True], "a": 1}, more={"x": 1}).payload)
    sent["id"] = sent["id"].upper()
    other = row(Message("action", json.dumps(sent, indent=1).encode(), "http"))
    assert one != other
    assert differences(one, other) == {}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"entity_name": "x"}, {"entity_name"}),
        ({"data": {"name": "app2"}}, {"data"}),
        ({"data": None}, {"data"}),
        ({"more": 1, "user_agent": "y" * 5000}, {"more", "user_agent"}),
    ],
)
def test_differences_of_actions_are_named(changes, fields):
    """Each differing member is named, with a short text of what is stored and what was sent."""
    found = differences(row(action()), row(action(**changes)))
    assert set(found) == fields
    assert all(text.startswith("stored ") and len(text) < 300 for text in found.values())


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"status": "failure"}, {"status"}),
        ({"total_res_count": 3, "end_time": "2026-11-22T03:34:21Z"}, set()),
        ({"resources": []}, {"resources"}),
        (
            {"resources": [resource(name="/b", after={}, odd=1)]},
            {"resources.0.name", "resources.0.after", "resources.0.odd"},
        ),
        ({"resources": [resource(duration=15, cookbook_name=...)]}, set()),
        ({"data": {"exception": {}}, "new": [1]}, {"data", "new"}),
    ],
)
def test_differences_of_run_ends_are_named(changes, fields):
    """All content of a run end counts, its resources too; spellings of times and numbers do not."""
    assert set(differences(row(run_end()), row(run_end(**changes)))) == fields


def test_run_starts_differ_by_place_alone():
    """A repeated start is the same start whatever its time; another node's or organization's is not."""
    one = row(run_start())
    assert differences(one, row(run_start(start_time="2026-11-22T00:00:00Z", more=1))) == {}
    assert set(differences(one, one._replace(organization="o", node_name="n"))) == {"organization", "node_name"}


def test_many_differences_stay_a_short_answer():
    """However much differs, the answer stays short."""
    many = [resource(name=f"/{each}") for each in range(500)]
    found = differences(row(run_end(resources=[resource()] * 500)), row(run_end(resources=many)))
    assert len(found) == 101


def test_other_kinds_differ():
    """Rows of two kinds are never the same."""
    assert differences(row(action()), row(run_start()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "true"),
        ("0", "false"),
        ("1", '"1"'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ("[]", "{}"),
        ('["object",[]]', "{}"),
        ("1" * 5000, "1" * 4999 + "2"),
        ("[" * 100_000 + "]" * 100_000, "[" * 100_000 + " " + "]" * 100_000),
        (None, "null"),
        ('{"a":1,"a":[1]}', '{"a":[1],"a":1}'),
    ],
)
def test_json_that_says_something_else(one, other):
    """Numbers are no booleans, a member twice is not once, and what can't be compared counts as different."""
    assert not same_json(one, other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON)
def test_same_json_is_equality_of_values(one, other):
    """Written in any way, two texts are the same exactly when their values are."""
    assert same_json(json.dumps(one), json.dumps(one, indent=1, sort_keys=True, ensure_ascii=False))
    strict = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert same_json(json.dumps(one), json.dumps(other)) == strict


@given(st.text(), st.text())
def test_a_difference_is_told_apart_again_or_not_at_all(stored, sent):
    """Side by side stand what is stored and what was sent, and never a part of either."""
    [text] = differences(row(action(entity_name="x" + stored)), row(action(entity_name="y" + sent))).values()
    both = sides(text)
    assert both is None or f"stored {both[0]}, sent {both[1]}" == text
    assert (both is None) == (text.count(", sent ") > 1)


@pytest.mark.parametrize("text", ["another kind of message", "stored another one than sent", "stored 1", ""])
def test_what_is_worded_otherwise_has_no_sides(text):
    """It is told as it is."""
    assert sides(text) is None
