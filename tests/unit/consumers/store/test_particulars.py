"""What is told of a letter's message: by its shim, by its body as its kind declares it, and never more than is text."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kind_examples import examples, schema_of

from consumers.store.particulars import SEARCHED_BYTES, SENDER_MEMBERS, fit, particulars, sent_by
from schemas.kinds import KINDS
from schemas.kinds.action import KIND as ACTION
from schemas.kinds.kind import TELLS
from schemas.message import LONGEST_SENDER, SENDER, Message

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SENDER, "x"]), inner, max_size=6),
    max_leaves=12,
)


def action(body: dict[str, Any], sender: dict[str, Any] | None = None) -> Message:
    return Message(ACTION.name, json.dumps(body).encode(), "http", sender=sender and json.dumps(sender))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_tells_stands_in_its_messages(kind: str) -> None:
    """Its declaration speaks of what there is to tell, and of members that it knows; every example tells them."""
    tells = KINDS[kind].tells
    assert set(tells) <= set(TELLS)
    described = schema_of(kind).get("properties", {})
    assert not KINDS[kind].tables or set(tells.values()) <= set(described)
    for example in examples(kind, "valid"):
        body = json.loads(example.message.payload)
        wanted = {name: body[member] for name, member in tells.items() if body.get(member)}
        assert particulars(example.message).facts == wanted


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.tells])
def test_a_compressed_body_tells_the_same_and_is_kept_to_search_in(kind: str) -> None:
    """Whoever compresses what they send is found like everybody else; of what came plain no copy is kept."""
    for example in examples(kind, "valid"):
        plain = example.message
        packed = msgspec.structs.replace(plain, payload=gzip.compress(plain.payload), content_encoding="gzip")
        assert particulars(packed).facts == particulars(plain).facts
        assert (particulars(packed).plain, particulars(plain).plain) == (plain.payload, None)


def test_a_bomb_is_searched_at_its_beginning_only() -> None:
    """A letter costs neither memory nor room by what it inflates to."""
    bomb = gzip.compress(b" " * 64 * 1024 * 1024)
    told = particulars(Message(ACTION.name, bomb, "http", content_encoding="gzip"))
    assert (told.facts, len(told.plain or b"")) == ({}, SEARCHED_BYTES)
    broken = particulars(Message(ACTION.name, zlib.compress(b"{}"), "http", content_encoding="gzip"))
    assert (broken.facts, broken.plain) == ({}, None)


def test_what_the_shim_knows_comes_before_what_a_body_says() -> None:
    """A body can't give itself another sender than the one who was let in."""
    body = {"user_agent": "forged", "who": "token root", "address": "1.2.3.4", "service_hostname": "chef1"}
    told = particulars(action(body, {"who": "token lab", "user_agent": "curl"})).sender
    assert told == {"who": "token lab", "user_agent": "curl", "service_hostname": "chef1"}
    assert sent_by(told) == "token lab"
    # By the exchange there is no shim.
    assert particulars(action(body)).sender == {"user_agent": "forged", "service_hostname": "chef1"}
    assert sent_by(particulars(action(body)).sender) == "chef1"


@given(ANY_JSON | st.text())
def test_no_header_keeps_a_letter_from_being_stored(header: Any) -> None:
    """Whatever stands in the header: what is kept are members that there are, short, and text for a text column."""
    text = header if isinstance(header, str) else json.dumps(header)
    told = particulars(Message(ACTION.name, b"{}", "http", sender=text)).sender
    assert set(told) <= set(SENDER)
    assert all(0 < len(value) <= LONGEST_SENDER and "\0" not in value for value in told.values())
    json.dumps(told, ensure_ascii=False).encode()


@given(st.dictionaries(st.sampled_from([*SENDER_MEMBERS, "x"]), st.text() | st.none() | st.integers()))
def test_what_a_file_says_of_a_sender_is_cut_to_what_is_kept(said: dict[str, Any]) -> None:
    """Made fit once, it stays so: an export is imported as it was."""
    assert fit(fit(said)) == fit(said)
    assert set(fit(said)) <= set(SENDER_MEMBERS)
