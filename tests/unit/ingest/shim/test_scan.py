"""A body's kind is told by its top-level members alone, as a parser would, whatever else is in it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.shim.doors import scan
from ingest.shim.doors.scan import LOOK_BYTES, LOOK_STEPS, Sign, scanner

SIGNS = (
    Sign("message_type", {"action": "action", "run_start": "start"}),
    Sign("event_type", {"node_ping": "ping"}),
    Sign("profiles", kind="report"),
)
kind_of = scanner(SIGNS, "unknown")

WORDS = [
    "message_type",
    "event_type",
    "profiles",
    "action",
    "run_start",
    "node_ping",
    '"message_type":"action"',
    "}",
    "\\",
]
texts = st.sampled_from([*WORDS, "\\"]) | st.text(max_size=6)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def told(value: Any) -> str:
    """What a parser would say."""
    if not isinstance(value, dict):
        return "unknown"
    for sign in SIGNS:
        said = value.get(sign.member)
        if sign.kind and sign.member in value:
            return sign.kind
        if isinstance(said, str) and said in sign.values:
            return sign.values[said]
    return "unknown"


@given(
    st.dictionaries(texts, values, max_size=8) | values,
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from(["", " ", "\r\n\t"]),
)
@example({"a": {"message_type": "action"}, "b": '{"message_type": "action"}', "profiles": None}, True, None, "")
@example({"profiles": [], "event_type": "node_ping", "message_type": "run_start"}, True, None, "")
@example({"message_type": "other", "event_type": "node_ping"}, True, None, "")
@example({"\\": '"', "message_type": "action"}, True, None, "")
def test_the_kind_is_what_a_parser_would_say(value: Any, escaped: bool, indent: Any, space: str) -> None:
    """Nested members and those in strings are no sign; the first of the signs holds, wherever it stands."""
    body = (space + json.dumps(value, ensure_ascii=escaped, indent=indent) + space).encode("utf-8", "surrogatepass")
    assert kind_of(body, None) == told(value)
    assert kind_of(gzip.compress(body), "gzip") == told(value)


@given(st.binary(max_size=60), st.sampled_from([b"", b'{"message_type":"action"', b'{"x":[', b'{"profiles":"']))
def test_any_bytes_have_a_kind(tail: bytes, head: bytes) -> None:
    """What is no JSON, or no gzip, has a kind as well, and a message that is cut has the one that it said."""
    assert kind_of(head + tail, None) in {"action", "start", "ping", "report", "unknown"}
    assert kind_of(tail, "gzip") == "unknown"
    if head.endswith(b'"action"'):
        assert kind_of(head + tail, None) == "action"


@pytest.mark.parametrize(
    "before",
    [f'"x":"{"a" * LOOK_BYTES}",', f'"x":[{"{}," * LOOK_STEPS}1],', '"x":1,' * LOOK_STEPS, '"x":[],' * LOOK_STEPS],
)
def test_beyond_the_bounds_a_mention_is_a_sign(before: str) -> None:
    """A run whose members come in another order, the largest first, is not taken for a stranger."""
    assert kind_of(f'{{{before}"message_type" : "run_start"}}'.encode(), None) == "start"
    assert kind_of(f'{{"profiles":[],{before}"y":1}}'.encode(), None) == "report"
    assert kind_of(f"{{{before}}}".encode(), None) == "unknown"


class Counted:
    """A pattern that counts how often it is asked."""

    def __init__(self, pattern: Any) -> None:
        self.pattern, self.asked, self.furthest = pattern, 0, 0

    def match(self, body: bytes, at: int, end: int) -> Any:
        self.asked += 1
        self.furthest = max(self.furthest, end)
        return self.pattern.match(body, at, end)


@pytest.mark.parametrize("unit", [b"[", b"[],", b'"a",', b"\\", b'{"message_type":', b'"message_type":1,'])
def test_looking_has_an_end(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a body is made, it is looked through in so many steps at most, and not beyond so many bytes."""
    counted = [Counted(getattr(scan, name)) for name in ("_MEMBER", "_BRACKET")]
    for name, each in zip(("_MEMBER", "_BRACKET"), counted, strict=True):
        monkeypatch.setattr(scan, name, each)
    kind_of(b'{"x":[' + unit * (1_000_000 // len(unit)) + b'],"message_type":"other"}', None)
    kind_of(b"{" + unit * (1_000_000 // len(unit)) + b',"message_type":"other"}', None)
    assert sum(each.asked for each in counted) <= 2 * (LOOK_STEPS + 2)
    assert max(each.furthest for each in counted) <= LOOK_BYTES
