"""Letters: one key a message, one fingerprint a cause."""

from __future__ import annotations

import json
from types import SimpleNamespace

import msgspec
import pika
from hypothesis import given
from hypothesis import strategies as st

from consumers.broker.properties import envelope, restored, sendable
from consumers.delivery import Delivery
from consumers.store.letter import Reason, letter, message_key, without_values
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


@given(st.data())
def test_letters_of_one_cause_are_worded_alike(data: st.DataObject) -> None:
    """A group has one sentence, whichever of its letters is its sample."""
    values = st.sampled_from(["7", "'a b'", "b576b4a2-7b2a-43b8-b385-d6281e9a139e", "17", "{}"])
    texts = st.sampled_from(["{} is not a UUID", "run {} took {} s", "{} does not match '^a$'", "stored {}"])
    code = data.draw(st.sampled_from(["schema", Conflict.reason]))
    pairs = st.lists(st.tuples(st.sampled_from(["a.3.b", "a.12.b", "c"]), texts), max_size=3, unique_by=lambda x: x[0])

    def one() -> dict[str, str]:
        return {name: text.format(data.draw(values), data.draw(values)) for name, text in data.draw(pairs)}

    ours, theirs = one(), one()
    alike = without_values(code, ours.items()) == without_values(code, theirs.items())
    assert alike or fingerprint(ours, code) != fingerprint(theirs, code)


def test_a_cause_is_worded_without_what_differs() -> None:
    """Ids, numbers and refused values are left out; the field and what is asked of it stay."""
    told = {"resources.3.id": "'apple' does not match '^a$'", "n": "run b576b4a2-7b2a-43b8-b385-d6281e9a139e: 17 s"}
    assert without_values("schema", told.items()) == "n: run #: # s; resources.#.id: … does not match '^a$'"
    assert without_values(Conflict.reason, {"task": "stored 'a'", "data": "7"}.items()) == "conflict: data, task"


@given(st.binary(max_size=50), st.text(max_size=20) | st.none())
def test_the_same_message_has_the_same_key_and_another_has_another(payload: bytes, node: str | None) -> None:
    """The key depends on payload and envelope, and on nothing else."""
    one = delivery(payload, node=node)
    again = msgspec.structs.replace(one, tag=99, headers={"x-delivery-count": 3}, generation=7)
    assert message_key(one) == message_key(again)
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


@given(st.text(max_size=10), st.text(max_size=10))
def test_names_in_a_conflict_or_an_unknown_run_do_not_change_a_fingerprint(one: str, other: str) -> None:
    """A thousand nodes whose run start got lost are one group."""
    causes = [
        Reason.of(UnknownRun("r", f"no run has started at node {name}")).fingerprint("run_end") for name in (one, other)
    ]
    causes += [Reason.of(Conflict({"entity_name": name})).fingerprint("run_end") for name in (one, other)]
    assert causes[0] == causes[1] != causes[2] == causes[3]


LEAVES = (
    st.none() | st.booleans() | st.text() | st.binary() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False) | st.datetimes() | st.decimals(allow_nan=False)
)  # fmt: skip
NAMES = st.text(max_size=5) | st.sampled_from(["!bytes", "!time", "!table"])
TABLES = st.recursive(LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(NAMES, each, max_size=3))


@given(st.dictionaries(NAMES, TABLES, max_size=4))
def test_headers_of_every_type_survive_a_letter(headers: dict[str, object]) -> None:
    """What a replay sends is what was received, types and all, whatever the names."""
    kept = json.loads(json.dumps(envelope(SimpleNamespace(headers=headers)), allow_nan=False))
    assert restored(kept.get("headers", {})) == headers


@given(st.dictionaries(st.text(max_size=5), TABLES, max_size=4))
def test_every_header_can_be_sent(headers: dict[str, object]) -> None:
    """No header that pika reads keeps a message from being moved or replayed."""
    pika.BasicProperties(headers=sendable(headers)).encode()
