"""Redaction: what is named is cut and marked, the rest stays to the letter, and a repetition stays the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.kinds.action import ActionRow
from schemas.kinds.run_end import RunEndRow
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.validation.cuts import MARK
from schemas.validation.judge import Candidate, Judge
from schemas.validation.redaction import Redaction

ACTION = "action"
RUN_END = "run_end"
RUN_START = "run_start"

RUN_ID = "562c4230-1569-4003-a81f-8c0100231d65"
SECRET = "hunter2-Zmx4"


def redaction(**settings: Any) -> Redaction:
    found = Redaction.from_settings(Settings(**settings))
    assert found is not None
    return found


def action(data: str, **more: object) -> Message:
    body = {
        "id": RUN_ID, "message_type": "action", "message_version": "0.1.1", "organization_name": "acme",
        "service_hostname": "h", "recorded_at": "2026-11-21T19:32:49Z", "remote_hostname": "r", "request_id": "q",
        "requestor_name": "n", "requestor_type": "user", "user_agent": "a", "task": "update",
        "entity_type": "node", "entity_name": "web1",
    } | more  # fmt: skip
    return Message(ACTION, (json.dumps(body)[:-1] + f', "data": {data}}}').encode(), "http")


def judged(message: Message, **settings: Any) -> Any:
    candidate = Judge.from_settings(Settings(**settings))(message)
    assert isinstance(candidate, Candidate), candidate
    return candidate.row


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ('{"password":"x"}', '{"password":"[redacted]"}'),
        ('{ "a" : 1e400 , "password" : [ {"x": 1} ] , "a":2 }', '{ "a" : 1e400 , "password" : "[redacted]" , "a":2 }'),
        ('{"password":1,"password":{}}', '{"password":"[redacted]","password":"[redacted]"}'),
        ('{"p\\u0061ssword":"x"}', '{"p\\u0061ssword":"[redacted]"}'),
        ('{"a":"\\"password\\":1","private_key":"-----\\n"}', '{"a":"\\"password\\":1","private_key":"[redacted]"}'),
        ('"{\\"password\\":\\"x\\"}"', '"{\\"password\\":\\"[redacted]\\"}"'),
    ],
)
def test_a_top_level_secret_is_masked_by_default(sent: str, stored: str) -> None:
    """The value is gone, the mark is there, and every other character is the sender's."""
    assert judged(action(sent), http_profile="wire").data == stored


@pytest.mark.parametrize(
    "data",
    [
        "{}", "null", '{"password":null}', '{"private_key":true}', '{"password":"*******"}', '{"a":{"password":"x"}}',
        '[{"password":"x"}]', '{"a":"password"}', '{"passwords":"x"}', '{"a":["password","x"]}', '{"\\ud800":1}',
        '"password"', '"\\ud800 password"', '{"password":""}',
    ],
)  # fmt: skip
def test_what_is_no_top_level_secret_stays(data: str) -> None:
    """Nothing is cut that the settings don't name, and what tells nothing needs no mark."""
    assert redaction().text(data) is data


def test_deep_members_are_masked_where_the_settings_name_them() -> None:
    """An encrypted value goes wherever in the item it stands; what it stands in stays."""
    cut = redaction(redact_anywhere="encrypted_data, token")
    text = '{"raw":{"key":{"encrypted_data":"AAA=","iv":"B","cipher":"c"}},"l":[{"token":[{"token":1}]}]}'
    wanted = '{"raw":{"key":{"encrypted_data":"[redacted]","iv":"B","cipher":"c"}},"l":[{"token":"[redacted]"}]}'
    assert cut.text(text) == wanted


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ('{"password":"x"}', '{"[redacted]":["password"]}'),
        ('{"a":1, "password":"x" ,"b":2,"token":"y"}', '{"a":1, "[redacted]":["password","token"] ,"b":2}'),
        ('{"token":"y","password":{"token":1},"b":{}}', '{"[redacted]":["token","password"],"b":{}}'),
    ],
)
def test_dropping_leaves_a_list_of_what_is_gone(sent: str, stored: str) -> None:
    """A dropped member leaves its name, once for each object, in valid JSON."""
    cut = redaction(redact_mode="drop")
    assert cut.text(sent) == stored
    json.loads(stored)


def test_secrets_of_the_message_itself_and_of_resources_are_masked() -> None:
    """Members that no column holds, and the states of a resource, are looked through as `data` is."""
    row = judged(action("{}", token=SECRET, other=1))
    assert SECRET not in str(row)
    assert MARK in row.extra
    assert SECRET not in str(judged(run_start(token=SECRET)))
    assert SECRET not in str(judged(run_end({"after": {"password": SECRET}, "password": SECRET})))


def test_sensitive_resources_lose_their_states_and_their_diff() -> None:
    """With `redact_sensitive` nothing is stored of how a sensitive resource was or became."""
    resource = {"before": {"sensitive": True, "c": SECRET}, "after": {"c": SECRET}, "delta": SECRET}
    assert SECRET in str(judged(run_end(resource)))
    row = judged(run_end(resource), redact_sensitive=True)
    assert SECRET not in str(row)
    assert row.resources[0].delta == MARK
    assert SECRET in str(judged(run_end(resource | {"before": {"sensitive": False}}), redact_sensitive=True))


def test_nothing_to_cut_costs_nothing() -> None:
    """Without a setting there is no redaction; with one, a row without secrets is the same object."""
    assert Redaction.from_settings(Settings(redact_members="")) is None
    row = judged(action('{"a": 1}'))
    assert redaction()(row) is row
    end = judged(run_end({"after": {"a": 1}}))
    assert redaction()(end) is end


def test_a_compact_message_is_redacted_as_a_spaced_one() -> None:
    """However fast the way a message is judged on, what must not be stored is cut."""
    message = action(json.dumps({"password": SECRET}, separators=(",", ":")))
    compact = Message(ACTION, json.dumps(json.loads(message.payload), separators=(",", ":")).encode(), "http")
    assert judged(compact) == judged(message)
    assert judged(compact).data == '{"password":"[redacted]"}'


MODES = st.sampled_from(["mask", "drop"])
KEYS = st.sampled_from(["password", "token", "name", "\u00e9", 'q"', "[redacted]", "secret"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    data=st.dictionaries(KEYS, VALUES, max_size=5), mode=MODES, escaped=st.booleans(), indent=st.sampled_from([None, 1])
)
def test_any_json_is_cut_as_a_parser_would(data: dict[str, Any], mode: str, escaped: bool, indent: int | None) -> None:
    """For any object: still JSON, redacting twice is redacting once, no named member keeps a value that tells."""
    text = json.dumps(data, ensure_ascii=escaped, indent=indent)
    cut = redaction(redact_members="password", redact_anywhere="secret", redact_mode=mode)
    stored = cut.text(text)
    assert stored is not None
    assert cut.text(stored) == stored
    again = json.loads(stored)
    assert again.get("password") in (None, True, False, MARK, "") or set(str(again["password"])) == {"*"}
    for values in members_named("secret", again):
        assert values in (None, True, False, MARK, "") or set(str(values)) == {"*"}
    if mode == "mask":
        assert again.keys() == data.keys()


def members_named(name: str, value: Any) -> list[Any]:
    if isinstance(value, dict):
        found = [value[name]] if name in value else []
        return found + [each for inner in value.values() for each in members_named(name, inner)]
    if isinstance(value, list):
        return [each for inner in value for each in members_named(name, inner)]
    return []


@given(
    data=st.dictionaries(KEYS, VALUES, max_size=5),
    one=MODES,
    other=MODES,
    names=st.sampled_from(["", "password", "token,name"]),
)
def test_a_repetition_stays_one_whatever_the_settings_were(
    data: dict[str, Any], one: str, other: str, names: str
) -> None:
    """A message stored under one redaction and sent again under another is no conflict."""
    row: ActionRow = judged(action(json.dumps(data)), redact_members="")
    stored = redaction(redact_members="password,token", redact_anywhere="secret", redact_mode=one)(row)
    again = Redaction.from_settings(Settings(redact_members=names, redact_mode=other))
    assert differences(stored, row if again is None else again(row)) == {}


def test_other_content_is_still_a_conflict() -> None:
    """What was not redacted is compared as ever, in actions, in members of their own and in resources."""
    cut = redaction(redact_mode="drop")
    stored = cut(judged(action('{"password":"x","a":1}', token="t", b=1)))
    assert differences(stored, cut(judged(action('{"password":"y","a":1}', token="u", b=1)))) == {}
    assert differences(stored, cut(judged(action('{"password":"x","a":2}', token="t", b=1)))).keys() == {"data"}
    assert differences(stored, cut(judged(action('{"password":"x","a":1}', token="t", b=2)))).keys() == {"b"}
    end: RunEndRow = judged(run_end({"before": {"sensitive": True}, "after": {"c": 1}, "delta": "d"}))
    sensitive = redaction(redact_sensitive=True)
    assert differences(sensitive(end), end) == {}
    assert differences(sensitive(end), sensitive(replaced(end, result="delete"))) != {}


def test_another_organization_s_action_tells_nothing() -> None:
    """Who guesses an id learns that it is taken, and nothing of what is under it."""
    stored = judged(action(json.dumps({"a": SECRET})))
    sent = judged(action("{}", organization_name="other"))
    assert differences(stored, sent) == {"organization_name": "stored another one than sent"}


def replaced(end: RunEndRow, **values: Any) -> RunEndRow:
    return end._replace(resources=(end.resources[0]._replace(**values),))


def run_start(**more: object) -> Message:
    body = {"action": "start", "run_id": RUN_ID, "start_time": "2026-11-21 19:32:49 +0000"} | more
    return Message(RUN_START, json.dumps(body).encode(), "http", "acme", "web1")


def run_end(resource: dict[str, Any]) -> Message:
    whole = {
        "type": "file", "name": "/x", "id": "/x", "before": {}, "after": {}, "duration": "1", "delta": "",
        "result": "create",
    } | resource  # fmt: skip
    body = {
        "action": "end", "resources": [whole], "status": "success", "run_list": "[]", "total_res_count": "1",
        "data": {}, "start_time": "2026-11-21 19:32:49 +0000", "end_time": "2026-11-21 19:32:50 +0000",
    }  # fmt: skip
    return Message(RUN_END, json.dumps(body).encode(), "http", "acme", "web1", RUN_ID)
