"""The fast path takes nothing that the long way would refuse, and finds the same row."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_samples import CAPTURED, EXAMPLE, captured_body

from schemas.doors import WORDS
from schemas.kinds.action import COLUMNS
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.fastpath import compile_fastpath
from schemas.validation.judge import Judge

JUDGE = Judge.from_settings(Settings(max_depth=512))
LONG_WAY = dataclasses.replace(
    JUDGE,
    validators={key: dataclasses.replace(each, fastpath=None) for key, each in JUDGE.validators.items()},
)
BODIES = [captured_body(each) for each in CAPTURED]
ACTION: dict[str, Any] = json.loads(EXAMPLE)


def compact(value: Any, **options: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), **options).encode()


def agree(body: bytes) -> None:
    for door in WORDS:
        message = Message("action", body, door)
        assert JUDGE(message) == LONG_WAY(message)


def fast(body: bytes, door: str = "chef") -> Any:
    lane = JUDGE.validators["action", door].fastpath
    assert lane is not None
    return lane(body)


def test_what_chef_servers_send_takes_the_fast_path() -> None:
    """The lane is worth having: captured messages in ASCII take it."""
    taken = [fast(body) is not None for body in BODIES]
    assert sum(taken) >= len(taken) - 1


@pytest.mark.parametrize("body", BODIES)
def test_both_ways_give_the_same_row_for_captured_messages(body: bytes) -> None:
    """Real traffic, through either door."""
    agree(body)


ODD = [
    '"entity_name":"a\\u0041"',
    '"entity_name":"\\n"',
    '"entity_name":""',
    '"entity_name":" "',
    '"entity_name":null',
    '"entity_name":"é"',
    '"data":null',
    '"data":[]',
    '"data":"undefined"',
    '"data":{"a":1,"a":2}',
    '"data":{"a":"\\ud800"}',
    '"data":{"a":NaN}',
    '"organization_name":null',
    '"organization_name":""',
    '"parent_name":"x"',
    '"parent_name":""',
    '"parent_type":"bag","parent_name":"x"',
    '"parent_type":"bag"',
    '"id":"B576B4A2-7B2A-43B8-B385-D6281E9A139E"',
    '"id":"b576b4a2-7b2a-43b8-b385-d6281e9a139e\\n"',
    '"recorded_at":"2014-9-1T1:2:3Z"',
    '"recorded_at":"2014-13-01T00:00:00Z"',
    '"recorded_at":"2016-12-31T23:59:60Z"',
    '"unknown":1',
    '"remote_request_id":""',
    '"remote_request_id":"x"',
    '"task":"fly"',
]


@pytest.mark.parametrize("odd", ODD)
def test_both_ways_agree_on_everything_odd(odd: str) -> None:
    """A member replaced, added, or sent twice, first and last: the same verdict, to the letter."""
    action = ACTION
    name = odd.partition(":")[0].strip('"')
    without = compact({key: value for key, value in action.items() if key != name})[1:-1].decode()
    agree(f"{{{without},{odd}}}".encode())
    agree(f"{{{odd},{without}}}".encode())
    whole = compact(action)[1:-1].decode()
    agree(f"{{{whole},{odd}}}".encode())
    agree(f"{{{odd},{whole}}}".encode())


texts = st.text(max_size=6) | st.sampled_from(["", " ", "a", "node", "bag", "client", "update", "\n", "\x00", "é"])
values = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.lists(texts, max_size=2), st.just({}))


@given(
    st.dictionaries(st.sampled_from([*COLUMNS, "other"]), values, max_size=4),
    st.sets(st.sampled_from(COLUMNS), max_size=2),
    st.booleans(),
)
def test_both_ways_agree_on_mutated_actions(changed: dict[str, Any], dropped: set[str], escaped: bool) -> None:
    """Whatever members hold, and whichever are missing."""
    action = {name: value for name, value in (ACTION | changed).items() if name not in dropped}
    agree(compact(action, ensure_ascii=escaped))


@given(st.binary(max_size=4), st.integers(0, 600), st.integers(0, 600))
def test_both_ways_agree_on_damaged_bytes(noise: bytes, start: int, end: int) -> None:
    """Bytes cut out and put in anywhere."""
    body = BODIES[0]
    agree(body[:start] + noise + body[max(start, end) :])


@pytest.mark.parametrize("depth", [510, 511, 512, 2000])
def test_both_ways_agree_on_how_deep_is_too_deep(depth: int) -> None:
    """The limit holds on either way."""
    whole = compact(ACTION | {"data": {}}).decode()
    agree(whole.replace('"data":{}', '"data":' + '{"a":' * depth + "1" + "}" * depth).encode())


@pytest.mark.parametrize(
    "more",
    [
        {"additionalProperties": False},
        {"properties": {"a": {"type": "string", "maxLength": 3}}},
        {"properties": {"a": {"type": "integer"}}},
        {"properties": {"a": {"type": ["string", "null"]}}, "required": []},
    ],
)
def test_a_schema_that_says_more_than_the_lane_understands_has_no_lane(more: dict[str, Any]) -> None:
    """A keyword added to a schema file turns the lane off rather than being overlooked."""
    simple = {"properties": {"a": {"type": "string"}}, "required": ["a"], "type": "object"}
    assert compile_fastpath(simple, ["a"], frozenset()) is not None
    assert compile_fastpath(simple | more, ["a"], frozenset()) is None


@pytest.mark.parametrize(
    ("pattern", "value", "taken"),
    [
        ("^[ab]+$", "ab", True),
        ("^[ab]+$", "ab\n", False),
        ("^a$|^b$", "b\n", False),
        ("^[$]\\$$", "$$", True),
        ("^[$]\\$$", "$$\n", False),
    ],
)
def test_a_pattern_s_end_is_no_line_break_before_it(pattern: str, value: str, taken: bool) -> None:
    """As on the long way, which refuses what Python's `$` lets through."""
    read = compile_fastpath(
        {"properties": {"a": {"type": "string", "pattern": pattern}}, "required": ["a"]}, ["a"], frozenset()
    )
    assert read is not None
    assert read(compact({"a": value})) == ([value] if taken else None)


def test_escapes_that_json_needs_take_the_fast_path() -> None:
    """Quotes and line breaks in a name cost its message no second look; an escape that need not be does."""
    needed = compact(ACTION | {"user_agent": 'a "quoted"\n\\name\u0001'})
    assert fast(needed) is not None
    agree(needed)
    assert fast(compact(ACTION | {"user_agent": "a/b"}).replace(b"a/b", b"a\\/b")) is None
