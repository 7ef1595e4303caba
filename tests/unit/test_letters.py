"""Letters: one key a message, one fingerprint a cause."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery import Delivery
from consumers.letters import Reason, envelope, letter, message_key
from schemas.message import Message
from schemas.verdict import Conflict, Invalid, UnknownRun


def delivery(payload: bytes = b"{}", **facts: str | None) -> Delivery:
    message = Message("action", payload, "http", **facts)  # type: ignore[arg-type]
    return Delivery(message, 1, 1, "ingest.actions", "ingest", "action")


def fingerprint(details: dict[str, str], code: str = "schema") -> str:
    return Reason("schema", code, details).fingerprint("action")


def test_ids_and_numbers_do_not_change_a_fingerprint() -> None:
    """Two letters of the same cause fall into one group."""
    one = fingerprint({"resources.3.id": "run b576b4a2-7b2a-43b8-b385-d6281e9a139e took 17 s"})
    other = fingerprint({"resources.12.id": "run 11111111-7b2a-43b8-b385-d6281e9a139f took 4 s"})
    assert one == other


def test_a_value_that_breaks_a_pattern_or_a_type_does_not_change_a_fingerprint() -> None:
    """What was sent instead of an id is not the cause; that it is no id is."""
    assert fingerprint({"id": "'apple' does not match '^a$'"}) == fingerprint({"id": "'pear' does not match '^a$'"})
    assert fingerprint({"id": "{} is not of type 'string'"}) == fingerprint({"id": "[1] is not of type 'string'"})


def test_another_field_code_or_enum_value_is_another_cause() -> None:
    """Letters that need another remedy are another group."""
    assert fingerprint({"a": "x"}) != fingerprint({"b": "x"})
    assert fingerprint({"a": "x"}) != fingerprint({"a": "x"}, code="name")
    assert fingerprint({"t": "'key' is not one of ['bag']"}) != fingerprint({"t": "'policy' is not one of ['bag']"})


@given(st.binary(max_size=50), st.text(max_size=20) | st.none())
def test_the_same_message_has_the_same_key_and_another_has_another(payload: bytes, node: str | None) -> None:
    """The key depends on payload and envelope, and on nothing else."""
    one = delivery(payload, node=node)
    assert message_key(one) == message_key(replace(one, tag=99, deliveries=3, generation=7))
    assert message_key(one) != message_key(delivery(payload + b"x", node=node))
    assert message_key(one) != message_key(delivery(payload, node=f"{node}x"))


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_keeps_a_letter_from_being_stored(node: str, text: str) -> None:
    """NUL and lone surrogates are replaced where a text column would refuse them."""
    row = letter(delivery(node=node), Reason("decode", "x", {"f": text}), "1")
    assert "\x00" not in row["node"]
    row["node"].encode()
    assert json.loads(row["details"]) == {"f": text}
    row["details"].encode("ascii")


def test_every_verdict_that_stores_nothing_gives_a_reason() -> None:
    """Invalid keeps its own words; a conflict and an unknown run have their code."""
    invalid = Reason.of(Invalid("database", "refused", {"f": "t"}, "22021"))
    assert (invalid.stage, invalid.code, invalid.sqlstate) == ("database", "refused", "22021")
    assert Reason.of(Conflict({"f": "t"})).code == "conflict"
    assert Reason.of(UnknownRun("r", "no run")).details == {"run_id": "no run"}


def test_an_envelope_keeps_what_is_there_and_leaves_out_what_is_not() -> None:
    """Properties as published: Chef servers send a delivery mode and nothing else."""
    chef = SimpleNamespace(delivery_mode=2, headers=None)
    assert envelope(chef) == {"delivery_mode": 2}
    assert envelope(None) == {}
