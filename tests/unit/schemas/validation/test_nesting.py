"""Laws of nesting: counted exactly, and the same limit on every Python, whichever way a message is judged."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from judge_samples import EXAMPLE, JSON, judge_with

from schemas.message import Message
from schemas.validation import nesting
from schemas.validation.judge import Candidate
from schemas.validation.nesting import deeper_than
from schemas.verdict import Invalid

ENVELOPE = 2
"""Levels around what a member of `data` holds."""


def plain_depth(value):
    if isinstance(value, dict):
        return 1 + max(map(plain_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(plain_depth, value), default=0)
    return 0


@given(JSON, st.booleans(), st.integers(0, 8))
@example([[[]], [[[]]]], True, 3)
def test_depth_agrees_with_a_straightforward_one(value, ascii_only, limit):
    """deeper_than says what walking the parsed value says."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert deeper_than(limit, body) == (plain_depth(value) > limit)


@pytest.mark.parametrize("depth", [1, 15, 16, 17, 18, 31, 32, 33, 400])
@pytest.mark.parametrize("width", [1, 3])
def test_depth_is_exact_on_both_sides_of_every_limit(depth, width):
    """At its own depth a text passes, one level less refuses it, through strings that look like brackets."""
    body = b'{"[[":"}",\n"a":' * depth + b"[]" + b"}" * depth
    body = b"[" + b",".join([body] * width) + b"]"
    assert not deeper_than(depth + 2, body)
    assert deeper_than(depth + 1, body)


@given(st.binary() | st.text(alphabet='[]{}"\\').map(str.encode), st.integers(0, 20))
def test_depth_is_total(body, limit):
    """deeper_than answers on any bytes."""
    assert deeper_than(limit, body) in (True, False)


def nested(levels, kind="{}"):
    """An action whose own object is the first of so many levels."""
    opener, closer = {"{}": ('{"a":', "}"), "[]": ("[", "]")}[kind]
    depth = levels - ENVELOPE
    data = '{"deep":' + opener * depth + "1" + closer * depth + "}"
    return json.dumps(json.loads(EXAMPLE) | {"data": {}}, separators=(",", ":")).replace('"data":{}', '"data":' + data)


@pytest.mark.parametrize("way", ["fast", "long"])
@pytest.mark.parametrize("kind", ["{}", "[]"])
@pytest.mark.parametrize("limit", [900, 950, 990, 1000])
def test_the_limit_is_the_same_on_every_python(limit, kind, way):
    """A message of exactly so many levels is taken, one of a level more refused by name, however deep the stack is."""
    judge = judge_with(max_depth=limit)
    space = "" if way == "fast" else " "

    def judged(levels, frames):
        if frames:
            return judged(levels, frames - 1)
        return judge(Message("action", (space + nested(levels, kind)).encode(), "http"))

    for frames in (0, 200):
        assert isinstance(judged(limit, frames), Candidate)
        refused = judged(limit + 1, frames)
        assert isinstance(refused, Invalid)
        assert (refused.reason, refused.details) == ("too_deep", {"message": f"nested deeper than {limit} levels"})


def test_deeper_than_the_interpreter_is_a_refusal():
    """A depth limit set beyond what the interpreter can follow ends in a refusal, not in an exception. From 3.14 on it
    follows as far as the stack goes: here nobody's does."""
    verdict = judge_with(max_depth=2_000_000)(Message("action", nested(1_000_000).encode(), "http"))
    assert isinstance(verdict, Invalid)
    assert verdict.reason == "too_deep"


def test_where_the_decoder_follows_further_all_is_counted(monkeypatch):
    """As from Python 3.12 on: whatever limit Python's own steps have, a level too many is seen before it is decoded."""
    monkeypatch.setattr(nesting, "_STEPPED", False)
    assert nesting.too_deep(5_000, b"[" * 5_001 + b"]" * 5_001)
    assert not nesting.too_deep(5_000, b"[" * 5_000 + b"]" * 5_000)
