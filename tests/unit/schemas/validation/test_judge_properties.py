"""The judge is total, and its fast path never disagrees with the reference."""

import gzip
import json

from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from judge_samples import CAPTURED, EXAMPLE, action, captured_body, captured_reports, judge_with, run_end

from schemas.kinds.action import document
from schemas.message import Message
from schemas.validation.judge import Candidate
from schemas.verdict import Invalid

JUDGE = judge_with(max_inflated_bytes=200_000, max_depth=64)
DEEP = judge_with(max_inflated_bytes=2_000_000, max_depth=1_000_000)
BODIES = [EXAMPLE, *map(captured_body, CAPTURED), *(message.payload for _, message in captured_reports())]
PLAIN = [gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body for body in BODIES]

NASTY = [
    b"NaN", b"1e999", b"1" * 5000, b'"\\ud800"', b'"\\u0000"', b"\xef\xbb\xbf", b"\xff", b"{", b"}", b"[", b"]",
    b'"', b"\\", b",", b":", b"null", b"true", b"-", b"1.0", b"[" * 70, b"\n", b'"id":1,', b"\xd9\xa3", b"\x00",
]  # fmt: skip

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=4) | st.sampled_from(NASTY)), max_size=4
)


def edited(body, changes):
    for place, length, piece in changes:
        start = int(place * len(body))
        body = body[:start] + piece + body[start + length :]
    return body


def messages(payloads):
    text = st.none() | st.text(max_size=5) | st.sampled_from(["ponyville", "c45db7fe-c756-4597-ae04-c7631f5b43bd"])
    kinds = st.sampled_from(["action", "run_start", "run_end", "other"])
    encodings = st.sampled_from([None, "", "gzip", "identity", "br"]) | st.text(max_size=3)
    return st.builds(Message, kinds, payloads, st.sampled_from(["http", "chef"]), text, text, text, encodings)


def judged(message, judge=JUDGE):
    verdict = judge(message)
    assert isinstance(verdict, Candidate | Invalid)
    if isinstance(verdict, Invalid):
        assert verdict.details
        assert all(field and len(field) <= 320 and len(text) <= 300 for field, text in verdict.details.items())
    return verdict


@given(messages(st.binary(max_size=300)))
def test_random_bytes(message):
    """Whatever the bytes, the verdict is a value."""
    judged(message)


@given(messages(st.builds(edited, st.sampled_from(PLAIN), edits)))
def test_mutated_captures(message):
    """Real traffic, damaged anywhere, gets a verdict."""
    judged(message)


@given(messages(st.builds(edited, st.sampled_from(PLAIN), edits).map(gzip.compress)))
def test_mutated_and_compressed_captures(message):
    """So does damage under an intact compression."""
    judged(message)


@given(messages(st.builds(edited, st.sampled_from(PLAIN).map(gzip.compress), edits)))
def test_damaged_compression(message):
    """So does damage to the compression itself."""
    judged(message)


@given(st.integers(1, 3000), st.sampled_from(["data", "entity_name", "unknown", "resources"]), st.booleans())
@example(2500, "entity_name", True)
def test_depth_never_raises(depth, member, objects):
    """Nesting that no interpreter follows, in any member, is a verdict even where the limit allows it."""
    nested = b'{"a":' * depth + b"1" + b"}" * depth if objects else b"[" * depth + b"]" * depth
    body = b'{"' + member.encode() + b'":' + nested + b"," + EXAMPLE.lstrip(b"{ \n")
    for kind in ("action", "run_end", "run_start"):
        judged(Message(kind, body, "http", "o", "n", "r"), DEEP)


UUID = "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
odd_texts = st.sampled_from(
    ["", "\n", UUID, UUID + "\n", UUID.upper(), "٣", "3", "3\n", "-1", "2026-11-22T03:40:00Z", "2026-11-22T03:40:00Z\n",
     "２026-11-22T03:40:00Z", "0.1.1", "0.1.1\n", "node", "client", "end", "success", "\u2028"]
)  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | odd_texts
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)


def instances(schema):
    """Values shaped by a schema: its own members, mostly of the right form."""
    if schema.get("type") == "array":
        return st.lists(instances(schema["items"]), max_size=3) | values
    if "properties" not in schema:
        right = st.sampled_from(schema["enum"]) if "enum" in schema else odd_texts
        return right | right | right | values
    members = {name: instances(each) for name, each in schema["properties"].items()}
    return st.fixed_dictionaries({}, optional=members) | st.fixed_dictionaries(members) | values


def test_fast_path_and_reference_never_disagree():
    """What the fast validator accepts the reference accepts; what only it refuses ends in a line break."""
    for validator in JUDGE.validators.values():
        _agree(validator)


def _agree(validator):
    reference = Draft4Validator(validator.reference.schema)

    @given(instances(validator.reference.schema))
    def agrees(instance):
        fast, sure = validator.is_valid(instance), reference.is_valid(instance)
        if fast != sure:
            assert sure, "the fast validator accepts what the reference refuses"
            assert "\\n" in json.dumps(instance)

    agrees()


# "token", the shortest name of a secret, is longer: what is cut out is other tests' concern.
@given(st.dictionaries(st.text(max_size=4), values, max_size=4), values, st.sampled_from(["http", "chef"]))
def test_document_is_json_equal_to_what_was_sent(unknown, data, door):
    """Every accepted action comes back as it was sent, unknown members and all."""
    message = action(door, **{"data": data, "id": UUID.upper(), "parent_type": "bag", "parent_name": "b"})
    sent = json.loads(message.payload)
    message = Message("action", json.dumps(unknown | sent).encode(), door)
    verdict = judged(message)
    if isinstance(verdict, Candidate):
        assert json.loads(document(verdict.row)) == json.loads(message.payload)
    else:
        assert set(verdict.details) == {"data"}


@given(st.dictionaries(st.sampled_from(["status", "resources", "data", "run_list", "total_res_count"]), values))
def test_run_ends_of_any_values(changes):
    """A run end with any values in its members gets a verdict."""
    judged(run_end(**changes))
